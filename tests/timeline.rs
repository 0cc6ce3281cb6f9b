//! The figures of timelines whose answers are known, and their export.

#[cfg(feature = "timeline")]
mod export;

use approx::abs_diff_eq;
use proptest::prelude::*;
use wgrad::lanes::timeline::{Activity, ClockSource, Span, Timeline};

fn span(lane: usize, activity: Activity, start: f64, end: f64) -> Span {
    let name = activity.name().into();
    Span { lane, activity, name, step: 0, micro_batch: None, start, end, bytes: 0 }
}

fn timeline(lanes: usize, spans: Vec<Span>) -> Timeline {
    let names = (0..lanes).map(|lane| format!("lane {lane} (noop)")).collect();
    Timeline { spans, ..Timeline::new(names, ClockSource::Host) }
}

/// Two lanes that work beside each other for part of ten seconds:
/// ```text
/// lane 0   ff.bbbb..u       exchange  .....xx...
/// lane 1   ..fff.bb..                 .....x..x.
/// ```
fn example() -> Timeline {
    use Activity::*;
    timeline(
        2,
        vec![
            span(0, Forward, 0.0, 2.0),
            span(0, Backward, 3.0, 7.0),
            span(0, Update, 9.0, 10.0),
            span(0, Exchange, 5.0, 7.0),
            span(1, Forward, 2.0, 5.0),
            span(1, Backward, 6.0, 8.0),
            span(1, Exchange, 5.0, 6.0),
            span(1, Exchange, 8.0, 9.0),
        ],
    )
}

fn assert_close(actual: f64, expected: f64) {
    assert!(abs_diff_eq!(actual, expected, epsilon = 1e-12), "{actual} instead of {expected}");
}

#[test]
fn figures_of_a_known_timeline() {
    let timeline = example();
    assert_close(timeline.wall(), 10.0);
    assert_close(timeline.busy(0), 0.7);
    assert_close(timeline.busy(1), 0.5);
    // Both compute from 3 to 5 and from 6 to 7.
    assert_close(timeline.overlap(), 0.3);
    // Of four seconds of exchange, lane 0's two are hidden behind its own work; of lane 1's, the one
    // from 5 to 6 runs beside lane 0's, and the one from 8 to 9 beside nothing.
    assert_close(timeline.exchange_hidden().expect("an exchange"), 0.5);
    assert_close(timeline.exchange_beside_compute().expect("an exchange"), 0.75);
    assert_close(timeline.seconds(1, Activity::Exchange), 2.0);
}

#[test]
fn wall_time_begins_with_the_first_span() {
    let timeline = timeline(
        1,
        vec![span(0, Activity::Forward, 100.0, 101.0), span(0, Activity::Readback, 103.0, 104.0)],
    );
    assert_close(timeline.wall(), 4.0);
    assert_close(timeline.busy(0), 0.25);
}

#[test]
fn nested_overlapping_and_repeated_spans_count_once() {
    use Activity::*;
    let spans = vec![
        span(0, Forward, 0.0, 4.0),
        span(0, Backward, 1.0, 2.0),
        span(0, Backward, 3.0, 6.0),
        span(0, Forward, 0.0, 4.0),
        span(0, Exchange, 6.0, 8.0),
        span(0, Exchange, 5.0, 8.0),
    ];
    let timeline = timeline(2, spans);
    assert_close(timeline.busy(0), 0.75);
    // A lane does not overlap with itself.
    assert_close(timeline.overlap(), 0.0);
    assert_close(timeline.exchange_hidden().expect("an exchange"), 1.0 / 3.0);
}

#[test]
fn nothing_can_be_said_of_nothing() {
    let empty_spans =
        vec![span(0, Activity::Forward, 1.0, 1.0), span(1, Activity::Exchange, 1.0, 1.0)];
    for timeline in [timeline(0, vec![]), timeline(3, vec![]), timeline(2, empty_spans)] {
        assert_eq!(timeline.wall(), 0.0);
        assert_eq!(timeline.busy(0), 0.0);
        assert_eq!(timeline.busy(99), 0.0);
        assert_eq!(timeline.overlap(), 0.0);
        assert_eq!(timeline.exchange_hidden(), None);
        assert_eq!(timeline.exchange_beside_compute(), None);
        assert!(timeline.to_string().contains("nothing was exchanged"));
    }
}

#[test]
fn broken_spans_change_no_figure() {
    let mut broken = example();
    for (start, end) in [
        (f64::NAN, 5.0),
        (5.0, f64::NAN),
        (f64::NAN, f64::NAN),
        (f64::NEG_INFINITY, 5.0),
        (5.0, f64::INFINITY),
        (50.0, -50.0),
        (0.0, 1e300),
        (-f64::MAX, f64::MAX),
    ] {
        for activity in Activity::ALL {
            broken.spans.insert(0, span(1, activity, start, end));
        }
    }
    broken.spans.push(span(2, Activity::Forward, -50.0, 50.0));
    assert_eq!(broken.to_string(), example().to_string());
    assert_eq!(broken.overlap(), example().overlap());
    assert_eq!(broken.exchange_hidden(), example().exchange_hidden());
    assert_eq!(broken.exchange_beside_compute(), example().exchange_beside_compute());
    assert_eq!(broken.spans[0].seconds(), 0.0);
}

#[test]
fn windows_cut_and_steps_select() {
    let mut timeline = example();
    let window = timeline.window(4.0..6.5);
    assert_close(window.wall(), 2.5);
    assert_close(window.busy(0), 1.0);
    assert_close(window.busy(1), 0.6);
    assert_eq!(timeline.window(2.0..3.0).spans, [span(1, Activity::Forward, 2.0, 3.0)]);
    assert_eq!(timeline.window(20.0..30.0).spans, []);
    assert_eq!(timeline.window(f64::NAN..f64::NAN).spans, []);
    timeline.spans[2].step = 7;
    assert_eq!(timeline.steps(1..8).spans, [timeline.spans[2].clone()]);
    assert_eq!(timeline.steps(0..1).spans.len(), 7);
}

#[test]
fn the_table_has_a_row_per_lane() {
    let mut timeline = example();
    timeline.spans[3].bytes = 1_500_000;
    timeline.clock = ClockSource::Gpu { uncertainty: 12.34e-6 };
    let table = timeline.to_string();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "2 lanes and 1 step in 10000.000 ms (GPU timestamps, lanes aligned within 12.3 µs; \
         transfers by the host's clock)"
    );
    assert!(lines[1].starts_with("lane "), "{table}");
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(&words[..5], ["lane", "0", "(noop)", "70.0", "%"], "{table}");
    let numbers = ["0.000", "2000.000", "4000.000", "1000.000", "2000.000", "0.000", "1.500"];
    assert_eq!(&words[5..], numbers, "{table}");
    assert!(lines[3].starts_with("lane 1 (noop)"), "{table}");
    let last = "at least two lanes compute 30.0 % of the time; of the exchange, 50.0 % is hidden \
                behind the lane's own work, 75.0 % behind any lane's";
    assert_eq!(lines[4..], [last]);
    timeline.times_serial = Some(1.234);
    let table_with_speed = timeline.to_string();
    assert!(
        table_with_speed.ends_with("lane's; 1.23 times as fast as serial"),
        "{table_with_speed}"
    );
    assert!(lines[1..4].iter().all(|line| line.len() == lines[1].len()), "{table}");
}

fn spans(lanes: usize) -> impl Strategy<Value = Vec<Span>> {
    // On a grid of whole seconds, so that sampling every half second in between is exact.
    let one = (0..lanes, 0..Activity::ALL.len(), 0..40_u32, 0..12_u32).prop_map(
        |(lane, activity, start, length)| {
            let (start, end) = (f64::from(start), f64::from(start + length));
            span(lane, Activity::ALL[activity], start, end)
        },
    );
    proptest::collection::vec(one, 0..24)
}

fn odd_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), proptest::num::f64::ANY, -2e9..2e9, -10.0..10.0]
}

proptest! {
    #[test]
    fn figures_agree_with_sampling(lanes in 1..5_usize, all in spans(4)) {
        let all: Vec<Span> = all.into_iter().filter(|span| span.lane < lanes).collect();
        let timeline = timeline(lanes, all.clone());
        let (mut exchanged, mut hidden, mut beside, mut overlapped) = (0, 0, 0, 0);
        let mut busy = vec![0; lanes];
        for second in 0..60 {
            let time = f64::from(second) + 0.5;
            let does = |lane: usize, which: fn(Activity) -> bool| {
                all.iter().any(|span| {
                    span.lane == lane && which(span.activity) && span.start < time && time < span.end
                })
            };
            let computing: Vec<bool> = (0..lanes).map(|lane| does(lane, Activity::is_compute)).collect();
            let count = computing.iter().filter(|&&computes| computes).count();
            overlapped += usize::from(count >= 2);
            for lane in 0..lanes {
                busy[lane] += usize::from(computing[lane]);
                if does(lane, |activity| activity == Activity::Exchange) {
                    exchanged += 1_usize;
                    hidden += usize::from(computing[lane]);
                    beside += usize::from(count >= 1);
                }
            }
        }
        let first = all.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
        let last = all.iter().map(|span| span.end).fold(f64::NEG_INFINITY, f64::max);
        let wall = if all.is_empty() { 0.0 } else { last - first };
        let share = |seconds: usize| if wall > 0.0 { seconds as f64 / wall } else { 0.0 };
        assert_close(timeline.wall(), wall);
        assert_close(timeline.overlap(), share(overlapped));
        for (lane, busy) in busy.into_iter().enumerate() {
            assert_close(timeline.busy(lane), share(busy));
        }
        let of_exchange = |seconds: usize| (exchanged > 0).then(|| seconds as f64 / exchanged as f64);
        for (share, expected) in [
            (timeline.exchange_hidden(), of_exchange(hidden)),
            (timeline.exchange_beside_compute(), of_exchange(beside)),
        ] {
            assert_eq!(share.is_some(), expected.is_some());
            assert_close(share.unwrap_or(0.0), expected.unwrap_or(0.0));
        }
    }

    #[test]
    fn any_numbers_give_shares(
        times in proptest::collection::vec((odd_number(), odd_number()), 0..12)
    ) {
        let spans = times.iter().enumerate().map(|(i, &(start, end))| {
            span(i % 3, Activity::ALL[i % Activity::ALL.len()], start, end)
        });
        let timeline = timeline(2, spans.collect());
        let shares = [timeline.busy(0), timeline.busy(1), timeline.overlap()];
        prop_assert!((0.0..=2e9).contains(&timeline.wall()), "{timeline}");
        let of_exchange = [timeline.exchange_hidden(), timeline.exchange_beside_compute()];
        for share in shares.into_iter().chain(of_exchange.into_iter().flatten()) {
            prop_assert!((0.0..=1.0).contains(&share), "{share} in {timeline}");
        }
    }
}
