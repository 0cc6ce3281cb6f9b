//! The calls of MPI that are needed, for one thread alone: the one that started MPI.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// All messages have it: those of one process come in the order in which they were sent.
const TAG: c_int = 7;

/// Bytes on their way out.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    Own(Arc<Vec<u8>>),
    /// A part of a payload.
    Part(Arc<[u8]>, usize, usize),
}

impl Bytes {
    pub(crate) fn length(&self) -> usize {
        self.get().len()
    }

    fn get(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Part(bytes, from, to) => bytes.get(*from..*to).unwrap_or_default(),
        }
    }
}

struct Sending {
    to: usize,
    request: ffi::MPI_Request,
    /// What MPI reads until the request is done.
    _bytes: Bytes,
}

struct Receiving {
    request: ffi::MPI_Request,
    bytes: Vec<u8>,
}

/// A communicator of this library's own, and what is under way on it.
pub(crate) struct Comm {
    universe: Universe,
    comm: SimpleCommunicator,
    sending: Vec<Sending>,
    /// Of each process what is coming, in order.
    receiving: Vec<VecDeque<Receiving>>,
}

/// What every process learns when MPI starts.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) rank: usize,
    pub(crate) ranks: usize,
    pub(crate) local_rank: usize,
    /// Lanes of each process.
    pub(crate) lanes: Vec<usize>,
    pub(crate) library: String,
}

impl Comm {
    /// Starts MPI; `None` if it runs already, or was ended. All processes call it.
    pub(crate) fn start(lanes: usize) -> Option<(Self, Place)> {
        let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled)?;
        let world = universe.world();
        let comm = world.duplicate();
        // SAFETY: the communicator lives, and the handler is MPI's own. Errors come back as codes.
        unsafe {
            ffi::MPI_Comm_set_errhandler(comm.as_raw(), ffi::RSMPI_ERRORS_RETURN);
        }
        let (rank, ranks) = (comm.rank() as usize, comm.size() as usize);
        let mut all = vec![0_u64; ranks];
        comm.all_gather_into(&(lanes as u64), &mut all[..]);
        let local_rank = world.split_shared(comm.rank()).rank() as usize;
        // Whoever starts first waits for the last: patience counts from here.
        let mut agreed = 0_i32;
        comm.all_reduce_into(&1_i32, &mut agreed, SystemOperation::min());
        let library = mpi::environment::library_version().unwrap_or_default();
        let library = library.trim_end_matches('\0').lines().next().unwrap_or_default().to_string();
        let lanes = all.into_iter().map(|lanes| lanes as usize).collect();
        let receiving = (0..ranks).map(|_| VecDeque::new()).collect();
        let comm = Self { universe, comm, sending: Vec::new(), receiving };
        Some((comm, Place { rank, ranks, local_rank, lanes, library }))
    }

    /// Begins to send; whether MPI took it on.
    pub(crate) fn send(&mut self, to: usize, bytes: Bytes) -> bool {
        // SAFETY: MPI's null request is a plain value.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        let data = bytes.get();
        // SAFETY: the bytes lie where they are until the request is done: they are kept with it, on the heap,
        // and nobody writes them. Their number fits, since parts are cut so.
        let code = unsafe {
            ffi::MPI_Isend(
                data.as_ptr().cast(),
                data.len() as c_int,
                ffi::RSMPI_UINT8_T,
                to as c_int,
                TAG,
                self.comm.as_raw(),
                &mut request,
            )
        };
        if code != ffi::MPI_SUCCESS as c_int {
            return false;
        }
        self.sending.push(Sending { to, request, _bytes: bytes });
        true
    }

    /// Drops what was sent meanwhile; the processes to which it did not come.
    pub(crate) fn sent(&mut self) -> Vec<usize> {
        let mut lost = Vec::new();
        self.sending.retain_mut(|sending| match is_done(&mut sending.request) {
            Ok(done) => !done,
            Err(()) => {
                lost.push(sending.to);
                false
            }
        });
        lost
    }

    /// Messages that are on their way out.
    pub(crate) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Begins to take in what has come; whether there was something.
    pub(crate) fn probe(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut flag = 0;
            // SAFETY: plain values, which MPI writes.
            let (code, mut message, source, count) = unsafe {
                let mut message = ffi::RSMPI_MESSAGE_NULL;
                let mut status = std::mem::zeroed::<ffi::MPI_Status>();
                let code = ffi::MPI_Improbe(
                    ffi::RSMPI_ANY_SOURCE,
                    TAG,
                    self.comm.as_raw(),
                    &mut flag,
                    &mut message,
                    &mut status,
                );
                let mut count = 0;
                if code == ffi::MPI_SUCCESS as c_int && flag != 0 {
                    ffi::MPI_Get_count(&status, ffi::RSMPI_UINT8_T, &mut count);
                }
                (code, message, status.MPI_SOURCE, count)
            };
            if code != ffi::MPI_SUCCESS as c_int || flag == 0 {
                return any;
            }
            any = true;
            let mut bytes = vec![0_u8; usize::try_from(count).unwrap_or(0)];
            // SAFETY: MPI writes the bytes until the request is done; they lie on the heap, and are kept with it.
            let (code, request) = unsafe {
                let mut request = ffi::RSMPI_REQUEST_NULL;
                let data = bytes.as_mut_ptr().cast();
                let uint8 = ffi::RSMPI_UINT8_T;
                let code = ffi::MPI_Imrecv(data, count, uint8, &mut message, &mut request);
                (code, request)
            };
            if code == ffi::MPI_SUCCESS as c_int
                && let Some(queue) = self.receiving.get_mut(source as usize)
            {
                queue.push_back(Receiving { request, bytes });
            }
        }
    }

    /// The next message that is here, with its sender; of a transfer that failed there are no bytes.
    pub(crate) fn received(&mut self) -> Option<(usize, Option<Vec<u8>>)> {
        for (from, queue) in self.receiving.iter_mut().enumerate() {
            let Some(first) = queue.front_mut() else { continue };
            let outcome = match is_done(&mut first.request) {
                Ok(false) => continue,
                Ok(true) => queue.pop_front().map(|received| received.bytes),
                Err(()) => {
                    queue.pop_front();
                    None
                }
            };
            return Some((from, outcome));
        }
        None
    }

    /// Ends MPI with all other processes, or leaves it as it is, to be ended by the launcher.
    pub(crate) fn end(self, with_all: bool) {
        let Self { universe, comm, sending, receiving } = self;
        if with_all {
            drop((comm, universe));
            return;
        }
        // MPI may still write and read these.
        std::mem::forget((sending, receiving, comm, universe));
    }
}

fn is_done(request: &mut ffi::MPI_Request) -> Result<bool, ()> {
    let mut flag = 0;
    // SAFETY: a request that MPI gave and that is not done, or null, which counts as done.
    let code = unsafe { ffi::MPI_Test(request, &mut flag, ffi::RSMPI_STATUS_IGNORE) };
    if code == ffi::MPI_SUCCESS as c_int { Ok(flag != 0) } else { Err(()) }
}
