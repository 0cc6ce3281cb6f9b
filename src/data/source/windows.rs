//! Windows of a source, read ahead by a thread: while the rows of one are used, the next is read. In a browser, which
//! has no threads, each is read when it is asked for.

use std::any::Any;
#[cfg(not(target_arch = "wasm32"))]
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
#[cfg(not(target_arch = "wasm32"))]
use std::thread::JoinHandle;

use super::Source;
use super::pass::{EpochOrder, Pass, Planned};
use super::rows::{Opened, Rows};
use super::share::{Share, Tally};
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
    order: Drawn,
    /// When it was read; nothing once that was told, or if it was there already.
    #[cfg(not(target_arch = "wasm32"))]
    read: Mutex<Option<Reading>>,
}

/// In which order the rows of a window are drawn.
#[derive(Debug)]
enum Drawn {
    AsTheyLie,
    /// The places of its rows.
    All(Vec<u32>),
    /// Of a share of them: each with its place in the window, in the order of those, and where it lies here.
    Some(Vec<(u32, u32)>),
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

    /// Where the row at this place of the window lies; nowhere if it is not of the share that was read.
    pub(crate) fn place(&self, at: usize) -> usize {
        let place = match &self.order {
            Drawn::AsTheyLie => return at,
            Drawn::All(places) => places.get(at),
            Drawn::Some(places) => {
                let found = places.binary_search_by_key(&at, |&(at, _)| at as usize);
                found.ok().and_then(|found| places.get(found)).map(|(_, place)| place)
            }
        };
        place.map_or(usize::MAX, |&place| place as usize)
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
    /// Whether it is a share of the rows alone.
    is_share: bool,
    #[cfg(not(target_arch = "wasm32"))]
    tally: Arc<Tally>,
    /// Those that somebody has.
    had: Vec<(Key, Weak<Window>)>,
    reader: Reader,
}

impl Windows {
    pub(crate) fn new(source: &Source, wanted: Wanted) -> Self {
        Self::of_share(source, wanted, None)
    }

    /// With a share of the rows alone, where it is not all of them.
    pub(crate) fn of_share(source: &Source, wanted: Wanted, share: Option<Share>) -> Self {
        let (tally, is_share) = (Arc::new(Tally::default()), share.is_some());
        let reader = Reader::new(Reads::new(source.clone(), wanted, share, tally.clone()));
        let (source, had) = (source.clone(), Vec::new());
        let shared = Shared {
            source,
            wanted,
            is_share,
            #[cfg(not(target_arch = "wasm32"))]
            tally,
            had,
            reader,
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// What was read so far.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn tally(&self) -> Arc<Tally> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).tally.clone()
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
            // A share of all rows at once is to be that, and not that of two epochs.
            None if shared.is_share && pass.windows().len() == 1 => None,
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

/// Rows that are not needed are read along where they fill no more than a page between two that are.
const PAGE: usize = 4096;

/// Reads windows, wherever that happens.
struct Reads {
    source: Source,
    wanted: Wanted,
    /// The rows that are needed, if not all are.
    share: Option<Share>,
    tally: Arc<Tally>,
    opened: Option<Opened>,
    /// All rows, if they are in one window: they are read once.
    whole: Option<Arc<Rows>>,
}

impl Reads {
    fn new(source: Source, wanted: Wanted, share: Option<Share>, tally: Arc<Tally>) -> Self {
        Self { source, wanted, share, tally, opened: None, whole: None }
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
        let order = planned.seed.map(|seed| permutation(planned.rows, seed));
        let needed = self.share.as_ref().map(|share| needed(share, planned, order.as_deref()));
        let rows = match known {
            Some(rows) => rows,
            None => match self.read(planned, needed.as_deref(), called_off) {
                Ok(Some(rows)) => Arc::new(rows),
                other => {
                    // Whatever failed begins anew.
                    self.opened = None;
                    return other.map(|_| None);
                }
            },
        };
        let is_whole = pass.windows().len() == 1 && self.share.is_none();
        if is_whole && self.wanted == Wanted::Epochs {
            self.whole = Some(rows.clone());
        }
        let order = match (needed, order) {
            (Some(needed), _) => {
                let mut places: Vec<_> =
                    needed.into_iter().zip(0..).map(|((_, at), place)| (at, place)).collect();
                places.sort_unstable();
                Drawn::Some(places)
            }
            (None, Some(order)) => Drawn::All(order),
            (None, None) => Drawn::AsTheyLie,
        };
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

    /// The rows of a window, or those of it that are needed, as they lie.
    fn read(
        &mut self,
        planned: &Planned,
        needed: Option<&[(u32, u32)]>,
        called_off: &AtomicBool,
    ) -> Result<Option<Rows>, DataError> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            empty => empty.insert(Opened::new(&self.source, self.wanted)?),
        };
        let of_block = self.source.rows_of_block();
        let runs = match needed {
            // The last block of a window is the only one that may be shorter.
            None => (0..planned.rows)
                .step_by(of_block)
                .map(|first| first..(first + of_block).min(planned.rows))
                .collect(),
            Some(needed) => runs(needed, of_block, PAGE / self.source.row_bytes()),
        };
        let mut rows = opened.room(needed.map_or(planned.rows, <[_]>::len))?;
        let mut left = needed.unwrap_or_default();
        for run in runs {
            if called_off.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let block = planned.blocks.get(run.start / of_block).copied().unwrap_or(usize::MAX);
            let first = block.saturating_mul(of_block) + run.start % of_block;
            self.tally.add_rows(run.len());
            let (own, after) =
                left.split_at(left.partition_point(|&(lies, _)| (lies as usize) < run.end));
            left = after;
            if needed.is_none() || own.len() == run.len() {
                opened.read(first, run.len(), &mut rows)?;
                continue;
            }
            let mut some = opened.room(run.len())?;
            opened.read(first, run.len(), &mut some)?;
            let places = own.iter().map(|&(lies, _)| lies as usize - run.start);
            rows.take(&some, self.source.width(), places);
        }
        rows.held = Some(self.tally.hold(rows.bytes()));
        Ok(Some(rows))
    }
}

/// The rows of a window that are needed, by where they lie in it, with the places at which they are drawn.
fn needed(share: &Share, planned: &Planned, order: Option<&[u32]>) -> Vec<(u32, u32)> {
    let places = share.within(&(planned.start..planned.start + planned.rows));
    let places = places.into_iter().map(|place| place - planned.start);
    let lies = |at: usize| order.map_or(at, |order| order.get(at).map_or(at, |&row| row as usize));
    let mut all: Vec<(u32, u32)> = places.map(|at| (lies(at) as u32, at as u32)).collect();
    all.sort_unstable();
    all
}

/// What is read at once: rows of one block, with gaps of at most `gap` rows that are not needed.
fn runs(needed: &[(u32, u32)], of_block: usize, gap: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &(lies, _) in needed {
        let lies = lies as usize;
        match runs.last_mut() {
            Some(run) if lies - run.end <= gap && run.start / of_block == lies / of_block => {
                run.end = lies + 1;
            }
            _ => runs.push(lies..lies + 1),
        }
    }
    runs
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
struct Reader {
    /// What its thread begins with.
    reads: Reads,
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
    fn new(reads: Reads) -> Self {
        Self { reads, thread: None }
    }

    fn thread(&mut self) -> Result<&mut Thread, DataError> {
        match &mut self.thread {
            Some(thread) => Ok(thread),
            empty => Ok(empty.insert(Thread::start(&self.reads)?)),
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
        SourceError::ReaderDied { origin: self.reads.source.origin(), reason }.into()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Thread {
    fn start(reads: &Reads) -> Result<Self, DataError> {
        let (ask, asked) = std::sync::mpsc::channel::<Asked>();
        let (answer, answers) = std::sync::mpsc::channel();
        let called_off = Arc::new(AtomicBool::new(false));
        let Reads { source, wanted, share, tally, .. } = reads;
        let mut reads = Reads::new(source.clone(), *wanted, share.clone(), tally.clone());
        let off = called_off.clone();
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

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

#[cfg(target_arch = "wasm32")]
impl Reader {
    fn new(reads: Reads) -> Self {
        Self(reads)
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
