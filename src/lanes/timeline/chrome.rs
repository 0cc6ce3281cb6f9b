//! A timeline as a trace that Perfetto (<https://ui.perfetto.dev>) and Chrome open, in the Trace Event
//! Format (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use serde_json::{Value, json};

use super::{Span, Timeline};

impl Timeline {
    /// The trace as JSON: a process per lane, with a thread for what its device computes and one for
    /// what is transferred (uploads, exchanges, readbacks, by the host's clock), and a complete event
    /// per span. Where spans of a thread overlap, which traces do not allow, more threads take them.
    pub fn to_chrome_trace(&self) -> String {
        let mut events = Vec::new();
        let mut threads = 0;
        for (lane, name) in self.lanes.iter().enumerate() {
            let process = lane + 1;
            events.push(metadata("process_name", process, 0, json!({ "name": name })));
            events.push(metadata("process_sort_index", process, 0, json!({ "sort_index": lane })));
            for (kind, computes) in [("compute", true), ("transfers (host times)", false)] {
                let belongs =
                    |span: &&Span| span.lane == lane && span.activity.is_compute() == computes;
                let tracks = tracks(self.valid().filter(belongs).collect());
                // A lane that did nothing still shows that it did nothing.
                for number in 0..tracks.len().max(1) {
                    threads += 1;
                    let name = match number {
                        0 => kind.to_string(),
                        _ => format!("{kind} {}", number + 1),
                    };
                    events.push(metadata("thread_name", process, threads, json!({ "name": name })));
                    let order = json!({ "sort_index": threads });
                    events.push(metadata("thread_sort_index", process, threads, order));
                    let spans = tracks.get(number).map_or(&[][..], Vec::as_slice);
                    events.extend(spans.iter().map(|span| event(span, process, threads)));
                }
            }
        }
        let mut other = json!({
            "clock": self.clock.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(times), Some(other)) = (self.times_serial, other.as_object_mut()) {
            other.insert("times_serial".into(), json!(times));
        }
        let trace = json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": other });
        trace.to_string()
    }
}

/// Puts each span on the first track that is free by then.
fn tracks(mut spans: Vec<&Span>) -> Vec<Vec<&Span>> {
    spans.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut tracks: Vec<Vec<&Span>> = Vec::new();
    for span in spans {
        let is_free = |track: &&mut Vec<&Span>| {
            track.last().is_none_or(|last| nanoseconds(last.end) <= nanoseconds(span.start))
        };
        match tracks.iter_mut().find(is_free) {
            Some(track) => track.push(span),
            None => tracks.push(vec![span]),
        }
    }
    tracks
}

fn metadata(what: &str, process: usize, thread: usize, args: Value) -> Value {
    json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": args })
}

fn event(span: &Span, process: usize, thread: usize) -> Value {
    let (start, end) = (nanoseconds(span.start), nanoseconds(span.end));
    let mut args = json!({ "step": span.step, "bytes": span.bytes });
    if let (Some(number), Some(args)) = (span.micro_batch, args.as_object_mut()) {
        args.insert("micro_batch".into(), json!(number));
    }
    json!({
        "ph": "X",
        "name": label(span),
        "cat": span.activity.name(),
        "pid": process,
        "tid": thread,
        "ts": microseconds(start),
        "dur": microseconds(end.saturating_sub(start)),
        "args": args,
    })
}

/// `forward 3`, `exchange in 0`: Perfetto colours by the words and leaves numbers out.
fn label(span: &Span) -> String {
    let mut words = vec![span.activity.name().to_string()];
    if span.name != span.activity.name() && !span.name.is_empty() {
        words.push(span.name.to_string());
    }
    words.extend(span.micro_batch.map(|number| number.to_string()));
    words.join(" ")
}

/// Whole nanoseconds: starts and ends that are rounded apart from each other would make spans that
/// touch overlap.
fn nanoseconds(seconds: f64) -> i64 {
    (1e9 * seconds).round() as i64
}

fn microseconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e3
}
