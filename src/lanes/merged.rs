//! The timeline of all processes, on the first one: its clock is that of all.

use std::time::Instant;

use super::Parallel;
use super::peers::Peers;
use super::timeline::{Activity, ClockSource, Span, Timeline};
use crate::Result;

/// Questions after the time of another process; the fastest answer counts.
const QUESTIONS: u64 = 5;
/// Bytes of a span before its name.
const HEAD: usize = 8 * 8;

impl Parallel {
    /// With what the lanes of other processes did, on the first one; there lanes are numbered as in the world.
    /// Times of a timeline count from `origin`.
    pub(super) fn merge(&mut self, mut own: Timeline, origin: Instant) -> Result<Timeline> {
        let Some(peers) = &mut self.peers else { return Ok(own) };
        let offsets = clocks(peers, origin)?;
        let first = peers.world.first();
        let all = peers.collect(to_bytes(&own, first))?;
        if !peers.world.is_first() {
            return Ok(own);
        }
        own.lanes = peers.names.clone();
        for (theirs, (offset, within)) in all.iter().skip(1).zip(offsets) {
            let clock = of_bytes(theirs, offset, &mut own.spans);
            own.clock = match (own.clock, clock) {
                (ClockSource::Gpu { uncertainty }, Some(their)) => {
                    ClockSource::Gpu { uncertainty: uncertainty.max(their + within) }
                }
                _ => ClockSource::Host,
            };
        }
        own.spans.sort_by(|a, b| a.start.total_cmp(&b.start));
        Ok(own)
    }
}

/// For each other process the seconds to add to its times, and by how much they may be off (Cristian, 1989).
fn clocks(peers: &mut Peers, origin: Instant) -> Result<Vec<(f64, f64)>> {
    let mut offsets = Vec::new();
    for rank in 1..peers.world.ranks() {
        let mut best = (0.0, f64::INFINITY);
        for _ in 0..QUESTIONS {
            let asked = origin.elapsed().as_secs_f64();
            let Some(answer) = peers.time_of(rank, || origin.elapsed().as_secs_f64())? else {
                continue;
            };
            let heard = origin.elapsed().as_secs_f64();
            let half = (heard - asked) / 2.0;
            if half < best.1 {
                best = (asked + half - answer, half);
            }
        }
        offsets.push(best);
    }
    Ok(offsets)
}

fn to_bytes(timeline: &Timeline, first: usize) -> Vec<u8> {
    let clock = match timeline.clock {
        ClockSource::Gpu { uncertainty } => uncertainty,
        ClockSource::Host => -1.0,
    };
    let mut bytes = clock.to_le_bytes().to_vec();
    for span in &timeline.spans {
        let activity = Activity::ALL.iter().position(|&other| other == span.activity);
        let words = [
            (span.lane + first) as u64,
            activity.unwrap_or(0) as u64,
            span.step,
            span.micro_batch.map_or(0, |m| m as u64 + 1),
            span.start.to_bits(),
            span.end.to_bits(),
            span.bytes,
            span.name.len() as u64,
        ];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(span.name.bytes());
    }
    bytes
}

/// Adds the spans to `spans`; the uncertainty of their clock, if it is the device's.
fn of_bytes(bytes: &[u8], offset: f64, spans: &mut Vec<Span>) -> Option<f64> {
    let (clock, mut rest) = bytes.split_first_chunk::<8>()?;
    while let Some((head, others)) = rest.split_at_checked(HEAD) {
        let words: Vec<u64> =
            head.chunks_exact(8).map(|w| u64::from_le(bytemuck::pod_read_unaligned(w))).collect();
        let &[lane, activity, step, micro_batch, start, end, bytes, length] = words.as_slice()
        else {
            break;
        };
        let Some((name, others)) = others.split_at_checked(length as usize) else { break };
        rest = others;
        let name = String::from_utf8_lossy(name).into_owned().into();
        let activity = Activity::ALL.get(activity as usize).copied();
        spans.push(Span {
            lane: lane as usize,
            activity: activity.unwrap_or(Activity::Exchange),
            name,
            step,
            micro_batch: micro_batch.checked_sub(1).map(|m| m as usize),
            start: f64::from_bits(start) + offset,
            end: f64::from_bits(end) + offset,
            bytes,
        });
    }
    let clock = f64::from_le_bytes(*clock);
    (clock >= 0.0).then_some(clock)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::lanes::exchange::LocalExchange;
    use crate::lanes::world::World;

    /// Clocks that began seven seconds before the first one's, and two after it, within what asking takes.
    #[test]
    fn clocks_are_tied_to_the_first_ones() {
        let now = Instant::now();
        let origins = [3, 10, 1].map(|s| now.checked_sub(Duration::from_secs(s)).unwrap());
        let exchange = Arc::new(LocalExchange::default());
        let found = std::thread::scope(|scope| {
            let process = |(rank, origin): (usize, Instant)| {
                let world = World::new(rank, [1, 1, 1]).unwrap();
                let mut peers = Peers::new(world, exchange.clone(), Duration::from_secs(60));
                scope.spawn(move || clocks(&mut peers, origin).unwrap())
            };
            let threads: Vec<_> =
                origins.into_iter().enumerate().rev().map(|(i, o)| process((i, o))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).last().unwrap()
        });
        assert_eq!(found.len(), 2);
        for ((offset, within), expected) in found.into_iter().zip([-7.0, 2.0]) {
            assert!(
                within < 1.0 && f64::abs(offset - expected) <= within + 1e-9,
                "{offset} ± {within}"
            );
        }
    }

    #[test]
    fn spans_arrive_as_they_left() {
        let mut timeline = Timeline::new(vec!["a".into()], ClockSource::Gpu { uncertainty: 1e-6 });
        for (name, micro_batch) in [("forward", Some(0)), ("", None), ("grädient", Some(7))] {
            let (start, end) = (0.5, 0.75);
            let (lane, activity, step, bytes) = (0, Activity::Update, 9, 12);
            let name = name.into();
            timeline.spans.push(Span {
                lane,
                activity,
                name,
                step,
                micro_batch,
                start,
                end,
                bytes,
            });
        }
        let mut spans = Vec::new();
        assert_eq!(of_bytes(&to_bytes(&timeline, 3), 1.0, &mut spans), Some(1e-6));
        for (theirs, own) in spans.iter().zip(&timeline.spans) {
            let own = Span { lane: 3, start: 1.5, end: 1.75, ..own.clone() };
            assert_eq!(theirs, &own);
        }
        assert_eq!(spans.len(), 3);
        timeline.clock = ClockSource::Host;
        let bytes = to_bytes(&timeline, 0);
        assert_eq!(of_bytes(&bytes[..bytes.len() - 1], 0.0, &mut spans), None);
        assert_eq!(spans.len(), 5);
    }
}
