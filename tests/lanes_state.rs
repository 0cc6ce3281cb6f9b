//! Saved training states: what comes back is what was saved, or an error; never a panic, and never
//! more memory than a few times the bytes.

use crate::support::memory::most_held;
use proptest::prelude::*;
use wgrad::Error;
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions, TrainingState};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;

/// Reads a state, and checks that it took no more memory than it may: each list of nothing takes 8
/// bytes in the file and 24 in memory, and so may the lists around it; an error's text is short.
fn read(bytes: &[u8]) -> wgrad::Result<TrainingState> {
    let (result, most) = most_held(|| TrainingState::from_bytes(bytes));
    assert!(most <= 9 * bytes.len() + 2048, "{most} bytes were allocated for {}", bytes.len());
    result
}

/// FNV-1a, 64 bits, as the format has it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn header(counts: &[u64]) -> Vec<u8> {
    let mut bytes = b"wgradst2".to_vec();
    bytes.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    bytes
}

fn bits(state: &TrainingState) -> impl PartialEq + std::fmt::Debug + use<> {
    let of = |numbers: &Vec<f32>| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let states = state.states.iter().map(|states| states.iter().map(of).collect::<Vec<_>>());
    (state.step, state.values.iter().map(of).collect::<Vec<_>>(), states.collect::<Vec<_>>())
}

fn numbers() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..20)
}

/// Any state, also one of no model: NaN values, and lists that do not fit each other.
fn states() -> impl Strategy<Value = TrainingState> {
    let values = proptest::collection::vec(numbers(), 0..6);
    let states = proptest::collection::vec(proptest::collection::vec(numbers(), 0..3), 0..6);
    (any::<u64>(), values, states).prop_map(|(step, values, states)| TrainingState {
        step,
        values,
        states,
    })
}

fn of_a_model() -> TrainingState {
    let values = vec![vec![1.5, -2.0], vec![f32::MIN_POSITIVE]];
    let states = vec![vec![vec![0.25, 0.5]; 2], vec![vec![-0.0]; 2]];
    TrainingState { step: 42, values, states }
}

proptest! {
    #[test]
    fn states_survive_being_saved(state in states()) {
        let read = read(&state.to_bytes()).unwrap();
        prop_assert_eq!(bits(&read), bits(&state));
    }

    #[test]
    fn a_change_is_always_found(
        state in states(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = state.to_bytes();
        let mut changed = bytes.clone();
        for (at, by) in changes {
            changed[at.index(bytes.len())] ^= by;
        }
        prop_assert!(changed == bytes || read(&changed).is_err());
        prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_err());
    }

    /// A checksum can be forged: what lies below it has to hold by itself.
    #[test]
    fn counts_that_lie_are_refused(
        state in states(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        count in prop_oneof![Just(u64::MAX), Just(1 << 62), Just(1 << 61), 0..1_000_000_u64],
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = state.to_bytes();
        body.truncate(body.len() - 8);
        for (at, to) in changes {
            let at = at.index(body.len());
            body[at] = to;
        }
        // What is read without an error is what those bytes say.
        let as_it_is = sealed(body.clone());
        if let Ok(state) = read(&as_it_is) {
            prop_assert_eq!(state.to_bytes(), as_it_is);
        }
        let at = 8 + 8 * at.index((body.len() - 8) / 8);
        body[at..at + 8].copy_from_slice(&count.to_le_bytes());
        let lied = sealed(body.clone());
        if let Ok(state) = read(&lied) {
            prop_assert_eq!(state.to_bytes(), lied);
        }
        body.truncate(cut.index(body.len()));
        let short = sealed(body);
        if let Ok(state) = read(&short) {
            prop_assert_eq!(state.to_bytes(), short);
        }
    }

    #[test]
    fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(read(&[b"wgradst2", &bytes[..]].concat()).is_err());
    }
}

/// A model of 3.6 GB, on a device that has no buffer of that size.
#[test]
fn limits_come_before_the_first_weights() {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let gpu = wgrad::Gpu::from_device(&device, &queue);
    let data =
        wgrad::data::Dataset::regression(vec![0.5; 60_000], 30_000, vec![0.0; 60_000], 30_000);
    let data = std::sync::Arc::new(data.unwrap());
    for schedule in [Schedule::Serial, Schedule::pipeline(), Schedule::data_parallel()] {
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.1));
        let options = ParallelOptions::new(2, 1, schedule);
        let net = Sequential::new(30_000).dense(30_000);
        let (data, gpus) = (data.clone(), std::slice::from_ref(&gpu));
        let (made, most) = most_held(|| Parallel::new_blocking(net, compile, data, options, gpus));
        let Err(Error::Lane { source, .. }) = made else { panic!("{made:?}") };
        assert!(matches!(*source, Error::Limit { .. }), "{source}");
        assert!(most < 1 << 20, "{most} bytes");
    }
}

/// 40 bytes that once asked for 2⁶⁴ − 1 lists of nothing, in the old version and in this one.
#[test]
fn a_count_of_nothing_takes_no_memory() {
    let mut old = b"wgradst1".to_vec();
    old.extend([0, 1, 0, u64::MAX].iter().flat_map(|count| count.to_le_bytes()));
    assert_eq!(old.len(), 40);
    let error = read(&old).unwrap_err().to_string();
    assert!(error.contains("version") && error.contains("is 1; it must be 2"), "{error}");
    for counts in [
        &[0, u64::MAX][..],
        &[0, 1, u64::MAX],
        &[0, 0, u64::MAX],
        &[0, 1, 0, u64::MAX],
        &[0, 0, 1, u64::MAX],
        &[0, 1, 0, 1, u64::MAX],
        &[0, 0, 1, 1, u64::MAX],
        &[0, 0, 1, 1, 1 << 62],
        &[0, 0, 2, 1, 0],
    ] {
        let error = read(&sealed(header(counts))).unwrap_err().to_string();
        assert!(error.contains("length of a saved state"), "{counts:?}: {error}");
    }
}

#[test]
fn every_bit_and_every_byte_counts() {
    let bytes = of_a_model().to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(read(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        let error = read(&bytes[..at]).unwrap_err().to_string();
        assert!(at < 7 || error.contains(&at.to_string()), "{at}: {error}");
        assert!(read(&[&bytes[..at], &[0], &bytes[at..]].concat()).is_err(), "a zero at {at}");
    }
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    assert_eq!(read(&bytes).ok(), Some(of_a_model()));
}

#[test]
fn what_is_no_state_is_told_from_one_that_broke() {
    let bytes = of_a_model().to_bytes();
    for (bytes, part) in [
        (&b"PK\x03\x04abcdefghijklmnop"[..], "mark at the start of a saved state is \"PK\\u{3}"),
        (&[], "mark at the start of a saved state is \"\""),
        (b"wgradst9abcdefgh", "version of a saved state is 9; it must be 2"),
        (b"wgradst2abc", "checksum of a saved state of 11 bytes"),
        (b"wgradst", "length of a saved state in bytes is 7"),
        (&bytes[..bytes.len() - 1], "cut off or changed: take another copy"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
