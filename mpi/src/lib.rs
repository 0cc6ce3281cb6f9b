//! Training of one network over the processes of an MPI job, on one machine or on many, to the bits that one
//! process comes to.
//!
//! [`Mpi`] starts MPI; its [`world`](Mpi::world) and its [`exchange`](Mpi::exchange) go into
//! [`ParallelOptions`](wgrad::lanes::ParallelOptions), and every process makes the same calls from there on. The
//! example `distributed` is such a program.
//!
//! ```no_run
//! use std::sync::Arc;
//! use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
//! use wgrad::prelude::*;
//!
//! # fn main() -> wgrad::Result<()> {
//! let mpi = wgrad_mpi::Mpi::start(1)?; // one lane in this process
//! let gpu = Gpu::new_blocking()?; // or the adapter of number `mpi.local_rank()`
//! let data = Arc::new(Dataset::regression(vec![0.5; 10_000], 10, vec![0.25; 1000], 1)?);
//! let net = Sequential::new(10).dense(64).relu().dense(1).seed(42);
//! let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01));
//!
//! // As many micro-batches as lanes: each takes its rows in one piece.
//! let mut options = ParallelOptions::new(32, mpi.world()?.lanes(), Schedule::data_parallel());
//! options.world = Some(mpi.world()?);
//! options.exchange = mpi.exchange()?;
//! let mut training = Parallel::new_blocking(net, how, data, options, &[gpu])?;
//! let history = training.fit_blocking(FitOptions::new(10).shuffle(42))?;
//! if mpi.is_first() {
//!     println!("{:?}", history.values("loss")?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! One thread owns MPI, and no reduction of MPI's is used: `MPI_Allreduce` may add in any order, and in what was
//! tried gave other bits in up to half of all numbers.

mod adapter;
mod exchange;
mod frame;
mod raw;
mod restart;
mod work;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use adapter::adapter_of;
pub use exchange::MpiExchange;
use exchange::{Post, Shared};
use raw::Place;
pub use restart::{exit_code, is_in_job, may_pass, run_with_restarts};
use wgrad::lanes::World;
use wgrad::{Error, Result};

/// How long a process waits for the others when all is done, and how long where something has gone wrong.
const PARTING: Duration = Duration::from_secs(600);
const PARTING_FROM_FAULTS: Duration = Duration::from_secs(3);

/// The processes of an MPI job, seen from one of them. [`Mpi::end`] waits until the others have come to their end, ten
/// minutes at most, and ends MPI with them. Where it is only dropped, as on the way out with an error, it waits for a few
/// seconds; if one does not come, MPI is left as it is, and the launcher ends the job when this process ends.
#[derive(Debug)]
pub struct Mpi {
    place: Place,
    shared: Arc<Shared>,
    posts: Sender<Post>,
    channels: AtomicU32,
    over: Arc<AtomicBool>,
    patient: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<bool>>>,
}

impl Mpi {
    /// Starts MPI, on a thread of its own, in a process that has `lanes` lanes. All processes of the job call it,
    /// once; it returns when all have.
    ///
    /// # Errors
    /// [`Error::Argument`] if MPI was started before, or `lanes` is 0; [`Error::Thread`] if the system has no
    /// more.
    pub fn start(lanes: usize) -> Result<Self> {
        let (posts, received) = channel();
        let (tell, told) = channel();
        let (shared, over) = (Arc::new(Shared::default()), Arc::new(AtomicBool::new(false)));
        let patient = Arc::new(AtomicBool::new(false));
        let (its, its_over, its_patient) = (shared.clone(), over.clone(), patient.clone());
        let work = move || {
            let Some((comm, place)) = raw::Comm::start(lanes) else { return false };
            let ranks = (place.rank, place.ranks);
            drop(tell.send(place));
            let parting = || match its_patient.load(Ordering::SeqCst) {
                true => PARTING,
                false => PARTING_FROM_FAULTS,
            };
            work::work(comm, ranks, &its, &received, &its_over, parting)
        };
        let thread = std::thread::Builder::new().name("wgrad MPI".into()).spawn(work);
        let thread = thread.map_err(|source| Error::Thread { purpose: "MPI".into(), source })?;
        let place = told.recv().map_err(|_| {
            Error::argument("MPI", "started before, or ended", "started once in a process")
        })?;
        let (channels, thread) = (AtomicU32::new(0), Mutex::new(Some(thread)));
        let mpi = Self { place, shared, posts, channels, over, patient, thread };
        mpi.world()?;
        Ok(mpi)
    }

    /// The number of this process.
    pub fn rank(&self) -> usize {
        self.place.rank
    }

    /// How many processes there are.
    pub fn ranks(&self) -> usize {
        self.place.ranks
    }

    /// The number of this process among those on its machine: that of the adapter that it is to take.
    pub fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    /// Whether this is the process that prints and writes.
    pub fn is_first(&self) -> bool {
        self.place.rank == 0
    }

    /// What MPI calls itself.
    pub fn library(&self) -> &str {
        &self.place.library
    }

    /// The lanes of all processes.
    ///
    /// # Errors
    /// [`Error::Argument`] if a process has none.
    pub fn world(&self) -> Result<World> {
        World::new(self.place.rank, self.place.lanes.clone())
    }

    /// An exchange for one training. All processes make theirs in the same order.
    ///
    /// # Errors
    /// As for [`Mpi::world`].
    pub fn exchange(&self) -> Result<Arc<MpiExchange>> {
        let channel = self.channels.fetch_add(1, Ordering::SeqCst);
        let (inbox, shared) = (self.shared.inbox(channel), self.shared.clone());
        let (world, posts) = (self.world()?, self.posts.clone());
        Ok(Arc::new(MpiExchange { channel, world, inbox, shared, posts }))
    }

    /// Bytes that this process has sent to others, with what names them.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.bytes_sent.load(Ordering::SeqCst)
    }

    /// Bytes that have come from others, with what names them.
    pub fn bytes_received(&self) -> u64 {
        self.shared.bytes_received.load(Ordering::SeqCst)
    }

    /// Messages of MPI that this process has sent.
    pub fn messages_sent(&self) -> u64 {
        self.shared.messages_sent.load(Ordering::SeqCst)
    }

    /// Ends MPI where all has gone well, when the others have come here too: the first process may have files to write
    /// yet. Whether all came, so that the launcher finds nothing wrong.
    pub fn end(&self) -> bool {
        self.patient.store(true, Ordering::SeqCst);
        self.part()
    }

    fn part(&self) -> bool {
        self.over.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.is_none_or(|thread| thread.join().unwrap_or(false))
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        self.part();
    }
}
