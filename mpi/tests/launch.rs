//! Starts jobs, and reads what their processes say.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Job {
    pub ranks: usize,
    pub args: Vec<String>,
}

/// `WORD name=value name=value | rest`.
#[derive(Debug)]
pub struct Line {
    pub word: String,
    fields: Vec<(String, String)>,
    pub rest: String,
}

impl Line {
    fn new(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once(" | ").unwrap_or((text, ""));
        let mut words = head.split_whitespace();
        let word = words.next()?.to_string();
        let fields = words.filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        });
        Some(Self { word, fields: fields.collect(), rest: rest.into() })
    }

    pub fn get(&self, name: &str) -> String {
        let found = self.fields.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> u64 {
        let value = self.get(name);
        value.parse().unwrap_or_else(|_| panic!("{name} is '{value}' in {self:?}"))
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "printed where a test fails")]
pub struct Outcome {
    pub is_success: bool,
    pub lines: Vec<Line>,
    pub errors: String,
}

/// Runs a job to its end.
///
/// # Panics
/// If it takes longer than `within`.
pub fn launch(job: &Job, within: Duration) -> Outcome {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none", "-n", &job.ranks.to_string()]);
    // In containers everybody is root.
    command.args(["--allow-run-as-root"]).arg(program).arg("rank").args(&job.args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("mpirun");
    fn read(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            drop(from.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        })
    }
    let out = read(child.stdout.take().expect("its output"));
    let err = read(child.stderr.take().expect("its errors"));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if begun.elapsed() > within {
            drop(child.kill());
            panic!("{:?} on {} ranks did not end within {within:?}", job.args, job.ranks);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (out, errors) = (out.join().unwrap(), err.join().unwrap());
    let lines = out.lines().filter_map(Line::new).collect();
    Outcome { is_success: status.success(), lines, errors }
}
