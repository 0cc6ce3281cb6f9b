//! Windows of a source, read ahead by a thread: while the rows of one are used, the next is read. In a browser, which
//! has no threads, each is read when it is asked for.

use std::any::Any;
#[cfg(not(target_arch = "wasm32"))]
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
#[cfg(not(target_arch = "wasm32"))]
use std::thread::JoinHandle;

use super::Source;
use super::pass::{EpochOrder, Pass};
use super::rows::{Opened, Rows};
use crate::data::error::DataError;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::error::SourceError;
use crate::data::shuffle::permutation;

/// Rows of a source that are in memory together, and the order in which they are drawn.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) rows: Arc<Rows>,
    /// Rows of the pass before it.
    pub(crate) start: usize,
    count: usize,
    /// The places of its rows; none where they are drawn as they lie.
    order: Option<Vec<u32>>,
    /// When it was read; nothing once that was told, or if it was there already.
    #[cfg(not(target_arch = "wasm32"))]
    read: Mutex<Option<Reading>>,
}

/// When a window was read.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) begun: std::time::Instant,
    pub(crate) ended: std::time::Instant,
    pub(crate) bytes: u64,
}

impl Window {
    /// How many rows it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Where the row at this place of the window lies.
    pub(crate) fn place(&self, at: usize) -> usize {
        let drawn = self.order.as_ref().map(|order| order.get(at));
        drawn.map_or(at, |place| place.map_or(usize::MAX, |&place| place as usize))
    }

    /// When it was read, told once.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn take_reading(&self) -> Option<Reading> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What is wanted of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Features alone, once.
    Features,
    /// Targets alone, once: of those that are read apart, features are not read.
    Targets,
    /// Features and targets, once.
    Pairs,
    /// Features and targets, epoch after epoch: the first window of the next is read while the last of one is used.
    Epochs,
}

type Key = (EpochOrder, usize);

/// The windows of a source. Clones share what is read.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    wanted: Wanted,
    /// Those that somebody has.
    had: Vec<(Key, Weak<Window>)>,
    reader: Reader,
}

impl Windows {
    pub(crate) fn new(source: &Source, wanted: Wanted) -> Self {
        let reader = Reader::new(source.clone(), wanted);
        let shared = Shared { source: source.clone(), wanted, had: Vec::new(), reader };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// A window of a pass, waiting until it is read. Whoever has one before gives it up first: so two are in memory
    /// at once, or as many as there are users of different ones, and one more.
    ///
    /// # Errors
    /// If it cannot be read, or what reads it died.
    pub(crate) fn get(&self, pass: &Arc<Pass>, number: usize) -> Result<Arc<Window>, DataError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (pass.order, number);
        shared.had.retain(|(_, window)| window.strong_count() > 0);
        let had = shared.had.iter().find(|(of, _)| *of == key);
        if let Some(window) = had.and_then(|(_, window)| window.upgrade()) {
            return Ok(window);
        }
        let window = Arc::new(shared.reader.get(pass, number)?);
        shared.had.push((key, Arc::downgrade(&window)));
        let next = match pass.windows().get(number + 1) {
            Some(_) => Some((pass.clone(), number + 1)),
            None if shared.wanted == Wanted::Epochs => {
                Some((Arc::new(pass.next(&shared.source)?), 0))
            }
            None => None,
        };
        if let Some((pass, number)) = next {
            shared.reader.ask(pass, number)?;
        }
        Ok(window)
    }
}

/// Reads windows, wherever that happens.
struct Reads {
    source: Source,
    wanted: Wanted,
    opened: Option<Opened>,
    /// All rows, if they are in one window: they are read once.
    whole: Option<Arc<Rows>>,
}

impl Reads {
    fn new(source: Source, wanted: Wanted) -> Self {
        Self { source, wanted, opened: None, whole: None }
    }

    /// Nothing if it was called off.
    fn window(
        &mut self,
        pass: &Pass,
        number: usize,
        called_off: &AtomicBool,
    ) -> Result<Option<Window>, DataError> {
        #[cfg(not(target_arch = "wasm32"))]
        let begun = std::time::Instant::now();
        let Some(planned) = pass.windows().get(number) else { return Ok(None) };
        let known = self.whole.clone().filter(|_| pass.windows().len() == 1);
        #[cfg(not(target_arch = "wasm32"))]
        let fresh = known.is_none();
        let rows = match known {
            Some(rows) => rows,
            None => match self.read(&planned.blocks, planned.rows, called_off) {
                Ok(Some(rows)) => Arc::new(rows),
                other => {
                    // Whatever failed begins anew.
                    self.opened = None;
                    return other.map(|_| None);
                }
            },
        };
        if pass.windows().len() == 1 && self.wanted == Wanted::Epochs {
            self.whole = Some(rows.clone());
        }
        let order = planned.seed.map(|seed| permutation(planned.rows, seed));
        Ok(Some(Window {
            start: planned.start,
            count: planned.rows,
            order,
            #[cfg(not(target_arch = "wasm32"))]
            read: Mutex::new(fresh.then(|| Reading {
                begun,
                ended: std::time::Instant::now(),
                bytes: rows.bytes(),
            })),
            rows,
        }))
    }

    fn read(
        &mut self,
        blocks: &[usize],
        count: usize,
        called_off: &AtomicBool,
    ) -> Result<Option<Rows>, DataError> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            empty => empty.insert(Opened::new(&self.source, self.wanted)?),
        };
        let mut rows = opened.room(count)?;
        let of_block = self.source.rows_of_block();
        let mut left = count;
        for &block in blocks {
            if called_off.load(Ordering::Relaxed) {
                return Ok(None);
            }
            // The last block of a window is the only one that may be shorter.
            let here = of_block.min(left);
            opened.read(block * of_block, here, &mut rows)?;
            left -= here;
        }
        Ok(Some(rows))
    }
}

/// What a panic said.
pub(super) fn said(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "it panicked".into(),
        },
    }
}

#[cfg(not(target_arch = "wasm32"))]
type Asked = (Arc<Pass>, usize);

/// A thread that reads what it is asked for, in turn.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
struct Reader {
    source: Source,
    wanted: Wanted,
    thread: Option<Thread>,
}

#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
struct Thread {
    ask: std::sync::mpsc::Sender<Asked>,
    answers: std::sync::mpsc::Receiver<Result<Option<Window>, DataError>>,
    /// What it was asked for and has not given yet.
    asked: VecDeque<Key>,
    handle: Option<JoinHandle<()>>,
    called_off: Arc<AtomicBool>,
}

/// The thread ends by itself, after the block that it reads: what it reads from may hang, and is not waited for.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Thread {
    fn drop(&mut self) {
        self.called_off.store(true, Ordering::Relaxed);
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Reader {
    fn new(source: Source, wanted: Wanted) -> Self {
        Self { source, wanted, thread: None }
    }

    fn thread(&mut self) -> Result<&mut Thread, DataError> {
        match &mut self.thread {
            Some(thread) => Ok(thread),
            empty => Ok(empty.insert(Thread::start(&self.source, self.wanted)?)),
        }
    }

    fn ask(&mut self, pass: Arc<Pass>, number: usize) -> Result<(), DataError> {
        let thread = self.thread()?;
        thread.asked.push_back((pass.order, number));
        // Whether it is there shows when it should answer.
        let _ = thread.ask.send((pass, number));
        Ok(())
    }

    fn get(&mut self, pass: &Arc<Pass>, number: usize) -> Result<Window, DataError> {
        let key = (pass.order, number);
        if !self.thread()?.asked.contains(&key) {
            self.ask(pass.clone(), number)?;
        }
        loop {
            let thread = self.thread()?;
            let Ok(answer) = thread.answers.recv() else {
                return Err(self.died());
            };
            match thread.asked.pop_front() {
                Some(asked) if asked == key => {}
                // Read ahead for somebody who went elsewhere.
                _ => continue,
            }
            return match answer? {
                Some(window) => Ok(window),
                None => Err(self.died()),
            };
        }
    }

    /// Why there is no answer; the next call begins a new thread.
    fn died(&mut self) -> DataError {
        let reason = match self.thread.take().map(Thread::end) {
            Some(Err(payload)) => said(payload),
            _ => "it ended".into(),
        };
        SourceError::ReaderDied { origin: self.source.origin(), reason }.into()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Thread {
    fn start(source: &Source, wanted: Wanted) -> Result<Self, DataError> {
        let (ask, asked) = std::sync::mpsc::channel::<Asked>();
        let (answer, answers) = std::sync::mpsc::channel();
        let called_off = Arc::new(AtomicBool::new(false));
        let (mut reads, off) = (Reads::new(source.clone(), wanted), called_off.clone());
        let read = move || {
            while let Ok((pass, number)) = asked.recv() {
                let window = reads.window(&pass, number, &off);
                if off.load(Ordering::Relaxed) || answer.send(window).is_err() {
                    return;
                }
            }
        };
        let handle = std::thread::Builder::new().name("wgrad reader".into()).spawn(read);
        let failed = |cause| SourceError::Thread { origin: source.origin(), cause };
        let handle = Some(handle.map_err(failed)?);
        Ok(Self { ask, answers, asked: VecDeque::new(), handle, called_off })
    }

    /// What a thread that has ended left.
    fn end(mut self) -> std::thread::Result<()> {
        let handle = self.handle.take();
        // And with it the sender: a thread that waits to be asked ends.
        drop(self);
        handle.map_or(Ok(()), JoinHandle::join)
    }
}

/// Reads each window when it is asked for.
#[cfg(target_arch = "wasm32")]
struct Reader(Reads);

#[cfg(target_arch = "wasm32")]
impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

#[cfg(target_arch = "wasm32")]
impl Reader {
    fn new(source: Source, wanted: Wanted) -> Self {
        Self(Reads::new(source, wanted))
    }

    fn ask(&mut self, _: Arc<Pass>, _: usize) -> Result<(), DataError> {
        Ok(())
    }

    fn get(&mut self, pass: &Arc<Pass>, number: usize) -> Result<Window, DataError> {
        let never = AtomicBool::new(false);
        match self.0.window(pass, number, &never)? {
            Some(window) => Ok(window),
            None => Err(DataError::RowOutOfRange { row: number, rows: pass.windows().len() }),
        }
    }
}
