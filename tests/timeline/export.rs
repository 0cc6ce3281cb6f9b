//! Traces and pictures of timelines.

use approx::abs_diff_eq;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wgrad::lanes::timeline::{Activity, ClockSource, Span, Timeline};

use super::{example, span, timeline};

/// Steps of a pipeline of `lanes` stages with 4 micro-batches.
fn pipeline(lanes: usize, steps: u64) -> Timeline {
    let mut spans = Vec::new();
    let micro_batches = 4;
    let each = 0.8e-3;
    let step_time = each * (2 * (lanes + micro_batches) + 1) as f64;
    for step in 0..steps {
        let origin = step_time * step as f64;
        for lane in 0..lanes {
            let mut add = |activity, name: &'static str, micro_batch, start: f64, length: f64| {
                let start = origin + each * start;
                let end = start + each * length;
                let bytes = 4096;
                spans.push(Span {
                    lane,
                    activity,
                    name: name.into(),
                    step,
                    micro_batch,
                    start,
                    end,
                    bytes,
                });
            };
            if lane == 0 {
                add(Activity::Upload, "batch", None, -0.3, 0.25);
            }
            for m in 0..micro_batches {
                let start = (lane + m) as f64;
                add(Activity::Forward, "forward", Some(m), start, 1.0);
                if lane + 1 < lanes {
                    add(Activity::Exchange, "out", Some(m), start + 1.0, 0.1);
                }
                let start = (lanes + micro_batches - 1) as f64 + (lanes - 1 - lane + m) as f64;
                add(Activity::Backward, "backward", Some(m), start, 1.0);
                if lane > 0 {
                    add(Activity::Exchange, "out", Some(m), start + 1.0, 0.1);
                }
            }
            let end = (2 * (lanes + micro_batches - 1)) as f64 + 0.1;
            add(Activity::Update, "update", None, end, 0.5);
            add(Activity::Readback, "report", None, end + 0.6, 0.1);
        }
    }
    let lanes = (0..lanes).map(|lane| format!("lane {lane} (llvmpipe)")).collect();
    Timeline { spans, ..Timeline::new(lanes, ClockSource::Gpu { uncertainty: 45e-6 }) }
}

fn trace(timeline: &Timeline) -> (Value, Vec<Value>) {
    let trace: Value = serde_json::from_str(&timeline.to_chrome_trace()).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events").clone();
    (trace, events)
}

#[test]
fn traces_have_what_perfetto_needs() {
    let timeline = pipeline(3, 2);
    let (trace, events) = trace(&timeline);
    let clock = trace["otherData"]["clock"].as_str().expect("a clock");
    assert!(clock.starts_with("GPU timestamps"), "{clock}");
    assert!(clock.ends_with("transfers by the host's clock"), "{clock}");
    let (mut processes, mut threads) = (BTreeMap::new(), BTreeMap::new());
    let mut spans = Vec::new();
    for event in &events {
        let process = event["pid"].as_u64().expect("a process");
        let thread = event["tid"].as_u64().expect("a thread");
        let name = event["name"].as_str().expect("a name");
        match (event["ph"].as_str().expect("a phase"), name) {
            ("M", "process_name") => {
                processes.insert(process, event["args"]["name"].as_str().expect("a name"));
            }
            ("M", "thread_name") => {
                let name = event["args"]["name"].as_str().expect("a name");
                assert!(threads.insert(thread, (process, name)).is_none(), "thread {thread} twice");
            }
            ("M", _) => assert!(event["args"]["sort_index"].is_u64()),
            ("X", _) => spans.push(event),
            other => panic!("an event of {other:?}"),
        }
    }
    let lanes = ["lane 0 (llvmpipe)", "lane 1 (llvmpipe)", "lane 2 (llvmpipe)"];
    assert_eq!(processes.values().copied().collect::<Vec<_>>(), lanes);
    let names: Vec<&str> = threads.values().map(|(_, name)| *name).collect();
    assert_eq!(names, ["compute", "transfers (host times)"].repeat(3));
    assert_eq!(spans.len(), timeline.spans.len());
    for event in spans {
        let (process, thread) = threads[&event["tid"].as_u64().expect("a thread")];
        assert_eq!(Some(process), event["pid"].as_u64());
        let activity = event["cat"].as_str().expect("a category");
        let computes = ["forward", "backward", "update"].contains(&activity);
        assert_eq!(thread, if computes { "compute" } else { "transfers (host times)" });
        let (start, length) = (event["ts"].as_f64(), event["dur"].as_f64());
        let (start, length) = (start.expect("a start"), length.expect("a length"));
        let is_it = |span: &&Span| {
            span.lane as u64 + 1 == process
                && span.activity.name() == activity
                && abs_diff_eq!(1e6 * span.start, start, epsilon = 1e-2)
                && abs_diff_eq!(1e6 * span.seconds(), length, epsilon = 1e-2)
        };
        let span = timeline.spans.iter().find(is_it).expect("the event's span");
        let args = &event["args"];
        assert_eq!(args["step"], span.step);
        assert_eq!(args["bytes"], span.bytes);
        assert_eq!(args["micro_batch"].as_u64(), span.micro_batch.map(|number| number as u64));
    }
}

/// What the Trace Event Format asks of complete events and of metadata events, and what Perfetto's
/// importer of it drops: events without a number for time, process or thread, of negative length, or
/// before time 0.
fn check_format(trace: &Value) {
    assert_eq!(trace["displayTimeUnit"], "ms");
    let meta = ["process_name", "process_sort_index", "thread_name", "thread_sort_index"];
    let (mut named, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for event in trace["traceEvents"].as_array().expect("a list") {
        let keys: BTreeSet<&str> =
            event.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(event["args"].is_object() && !event.to_string().contains("null"), "{event}");
        assert!(!event["name"].as_str().expect("a name").is_empty(), "{event}");
        let at = (event["pid"].as_u64().expect("a number"), event["tid"].as_u64());
        assert!(at.0 > 0 && at.1.is_some(), "{event}");
        match event["ph"].as_str().expect("a phase") {
            "M" => {
                assert_eq!(keys, BTreeSet::from(["args", "name", "ph", "pid", "tid"]));
                let name = event["name"].as_str().expect("a name");
                assert!(meta.contains(&name), "{event}");
                let value = if name.ends_with("_name") { "name" } else { "sort_index" };
                assert_eq!(event["args"].as_object().map(serde_json::Map::len), Some(1));
                assert!(!event["args"][value].is_null(), "{event}");
                if name == "thread_name" {
                    named.insert(at);
                }
            }
            "X" => {
                let all = ["args", "cat", "dur", "name", "ph", "pid", "tid", "ts"];
                assert_eq!(keys, BTreeSet::from(all));
                assert!(event["ts"].as_f64().expect("a number") >= 0.0, "{event}");
                assert!(event["dur"].as_f64().expect("a number") >= 0.0, "{event}");
                assert!(event["args"]["step"].is_u64() && event["args"]["bytes"].is_u64());
                seen.insert(at);
            }
            other => panic!("an event of phase {other}"),
        }
    }
    assert!(seen.is_subset(&named), "{seen:?} on {named:?}");
}

#[test]
fn traces_keep_the_format() {
    let mut timeline = pipeline(3, 2);
    timeline.spans.retain(|span| span.start >= 0.0);
    timeline.times_serial = Some(1.5);
    let (trace, _) = trace(&timeline);
    check_format(&trace);
    assert_eq!(trace["otherData"]["times_serial"], 1.5);
    check_format(&serde_json::from_str(&example().to_chrome_trace()).expect("JSON"));
}

#[test]
fn spans_of_a_trace_s_thread_do_not_overlap() {
    // Spans that touch at times which no float holds exactly, and others that overlap on one lane.
    let mut touching: Vec<Span> = (0..300)
        .map(|i| span(0, Activity::Forward, f64::from(i) / 3e5, f64::from(i + 1) / 3e5))
        .collect();
    touching.reverse();
    let (_, events) = trace(&timeline(1, touching.clone()));
    let threads: BTreeSet<u64> =
        events.iter().filter(|e| e["ph"] == "X").filter_map(|e| e["tid"].as_u64()).collect();
    assert_eq!(threads.len(), 1);

    touching.push(span(0, Activity::Backward, 0.0, 1e-3));
    touching.push(span(0, Activity::Backward, 1e-5, 2e-5));
    let (_, events) = trace(&timeline(1, touching));
    let mut ends = BTreeMap::new();
    let spans: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(spans.len(), 302);
    for event in spans {
        let thread = event["tid"].as_u64().expect("a thread");
        let (start, length) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        let end = ends.insert(thread, start + length).unwrap_or(0.0);
        assert!(start >= end - 1e-6, "{start} µs before {end} µs on thread {thread}");
    }
    assert_eq!(ends.len(), 3);
}

#[test]
fn traces_leave_broken_spans_out() {
    let mut timeline = example();
    timeline.spans.push(span(0, Activity::Forward, f64::NAN, 1.0));
    timeline.spans.push(span(5, Activity::Forward, 0.0, 1.0));
    let (_, events) = trace(&timeline);
    assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), 8);
    let (_, events) = trace(&super::timeline(0, vec![]));
    assert_eq!(events.len(), 0);
}

/// The document's texts, and corners and colours of its boxes.
fn parts(svg: &str) -> (Vec<String>, Vec<([f64; 4], String)>) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let all = |tag: &'static str| document.descendants().filter(move |node| node.has_tag_name(tag));
    let texts = all("text").map(|node| node.text().unwrap_or_default().trim().to_string());
    let boxes = all("rect").map(|node| {
        let number = |name: &str| node.attribute(name).and_then(|value| value.parse().ok());
        let sides = ["x", "y", "width", "height"].map(|name| number(name).expect("a number"));
        (sides, node.attribute("fill").unwrap_or_default().to_string())
    });
    (texts.collect(), boxes.collect())
}

#[test]
fn pictures_have_a_row_per_lane() {
    for lanes in [1, 2, 5, 8] {
        let timeline = pipeline(lanes, 2);
        let (texts, boxes) = parts(&timeline.to_svg().expect("a picture"));
        let rows: Vec<_> = boxes.iter().filter(|(_, fill)| fill == "#F5F5F5").collect();
        assert_eq!(rows.len(), lanes);
        let mut tops: Vec<f64> = rows.iter().map(|(sides, _)| sides[1]).collect();
        tops.dedup();
        assert_eq!(tops.len(), lanes);
        for lane in &timeline.lanes {
            assert_eq!(texts.iter().filter(|text| *text == lane).count(), 1);
        }
        // One box for each span besides background, rows and legend, each in its lane's row.
        let others = 1 + Activity::ALL.len() + lanes;
        assert_eq!(boxes.len(), others + timeline.spans.len());
        for (span, (sides, _)) in timeline.spans.iter().zip(&boxes[others..]) {
            let row = rows[span.lane].0;
            for side in [0, 1] {
                assert!(row[side] <= sides[side], "{sides:?} in {row:?}");
                assert!(sides[side] + sides[side + 2] <= row[side] + row[side + 2], "{sides:?}");
            }
        }
        for activity in Activity::ALL {
            assert!(texts.iter().any(|text| text == activity.name()), "{texts:?}");
        }
        let title = texts.iter().find(|text| text.contains("GPU timestamps")).expect("a title");
        assert!(title.contains("transfers by the host's clock"), "{title}");
        let mut faster = timeline.clone();
        faster.times_serial = Some(1.875);
        let (texts, _) = parts(&faster.to_svg().expect("a picture"));
        assert!(
            texts.iter().any(|text| text.contains("1.88 times as fast as serial")),
            "{texts:?}"
        );
        assert!(texts.iter().any(|text| text == "ms"), "{texts:?}");
    }
}

#[test]
fn boxes_lie_where_the_axis_says() {
    let (texts, boxes) = parts(&example().to_svg().expect("a picture"));
    // Ten seconds: a tick every second, in milliseconds.
    for tick in 0..=10 {
        let label = (1000 * tick).to_string();
        assert!(texts.contains(&label), "{label} in {texts:?}");
    }
    let row = boxes.iter().find(|(_, fill)| fill == "#F5F5F5").expect("a row").0;
    let backward = boxes.iter().rfind(|(_, fill)| fill == "#D55E00").expect("a box").0;
    let place = |x: f64| (x - row[0]) / row[2];
    assert!(abs_diff_eq!(place(backward[0]), 0.6, epsilon = 2e-3), "{backward:?} in {row:?}");
    assert!(
        abs_diff_eq!(place(backward[0] + backward[2]), 0.8, epsilon = 2e-3),
        "{backward:?} in {row:?}"
    );
}

#[test]
fn micro_batches_are_numbered_where_they_fit() {
    let timeline = pipeline(2, 1);
    let numbers = |timeline: &Timeline| {
        let (texts, _) = parts(&timeline.to_svg().expect("a picture"));
        texts.iter().filter(|text| *text == "3").count()
    };
    assert!(numbers(&timeline) >= 4);
    let mut long = timeline.clone();
    long.spans.push(span(0, Activity::Readback, 9.0, 10.0));
    assert_eq!(numbers(&long), 0);
    assert!(numbers(&long.window(0.0..0.02)) >= 4);
}

#[test]
fn names_are_escaped_and_cut_off() {
    let long = "a GPU whose name is far longer than any that a picture has room for, on a bus";
    let lanes = vec!["<&\"lane\">".to_string(), long.to_string()];
    let timeline = Timeline::new(lanes, ClockSource::Host);
    let (texts, _) = parts(&timeline.to_svg().expect("a picture"));
    assert!(texts.contains(&"<&\"lane\">".to_string()), "{texts:?}");
    let cut = texts.iter().find(|text| text.ends_with('…')).expect("a name that was cut off");
    assert!(long.starts_with(cut.trim_end_matches('…')), "{cut}");
    assert!(texts.iter().any(|text| text.contains("host times")), "{texts:?}");
}

#[test]
fn odd_timelines_are_drawn() {
    let far = 0.99e9;
    for timeline in [
        timeline(0, vec![]),
        timeline(3, vec![]),
        timeline(1, vec![span(0, Activity::Forward, 2.0, 2.0)]),
        timeline(1, vec![span(0, Activity::Forward, f64::NAN, 2.0)]),
        timeline(1, vec![span(0, Activity::Forward, -1.0, 2e-9)]),
        timeline(1, vec![span(0, Activity::Forward, 0.0, 1e-12)]),
        timeline(1, vec![span(0, Activity::Forward, far, far + 0.25)]),
        timeline(1, vec![span(0, Activity::Forward, -f64::MAX, f64::MAX)]),
        timeline(1, vec![span(0, Activity::Forward, 0.0, f64::MIN_POSITIVE)]),
    ] {
        parts(&timeline.to_svg().expect("a picture"));
        timeline.to_png().expect("a picture");
        timeline.to_chrome_trace();
    }
}

/// Width and pixels of a PNG file.
fn pixels(file: &[u8]) -> (usize, Vec<[u8; 3]>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut bytes).expect("pixels");
    let pixels = bytes.chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect();
    (info.width as usize, pixels)
}

#[test]
fn pngs_show_boxes_and_text() {
    let timeline = pipeline(4, 2);
    let (width, pixels) = pixels(&timeline.to_png().expect("a picture"));
    let count = |colour: [u8; 3]| pixels.iter().filter(|&&pixel| pixel == colour).count();
    for colour in
        [[86, 180, 233], [0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0]]
    {
        // More than the legend's box of 16 by 16.
        assert!(count(colour) > 300, "{} pixels of {colour:?}", count(colour));
    }
    let dark = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        let rows = rows.map(|y| &pixels[y * width + columns.start..y * width + columns.end]);
        rows.flatten().filter(|pixel| pixel.iter().all(|&c| c < 96)).count()
    };
    // The title, the legend's words, each lane's name, the axis's numbers.
    assert!(dark(10..40, 20..400) > 300, "no title");
    assert!(dark(44..66, 42..100) > 50, "no legend");
    for lane in 0..4 {
        assert!(dark(76 + 76 * lane..76 + 76 * lane + 40, 20..160) > 100, "no name of lane {lane}");
    }
    assert!(dark(76 + 76 * 4 + 8..76 + 76 * 4 + 40, 160..1580) > 100, "no numbers at the axis");
}
