//! Counting what is done on a device. Counts hold on every machine, also where times do not.

use std::ops::Sub;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, and perhaps another that grows with it.
#[derive(Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>, Option<Arc<AtomicU64>>);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        for counter in std::iter::once(&self.0).chain(&self.1) {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One from zero on, with which this one grows.
    #[cfg(not(target_arch = "wasm32"))]
    fn part(&self) -> Self {
        Self(Arc::default(), Some(self.0.clone()))
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was done on a device since it was made. Subtract two readings to see what happened
        /// between them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        pub(crate) struct Tally { $(pub(crate) $name: Counter,)* }

        impl Tally {
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.read(),)* }
            }

            /// The tally of a part of what this one counts.
            #[cfg(not(target_arch = "wasm32"))]
            pub(crate) fn part(&self) -> Self {
                Self { $($name: self.$name.part(),)* }
            }
        }

        impl Counters {
            /// Names and values, in the order of the fields.
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl Sub for Counters {
            type Output = Counters;

            fn sub(self, earlier: Counters) -> Counters {
                Counters { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Submissions to the queue.
    submissions,
    /// Dispatches recorded.
    dispatches,
    /// Bytes written by the host.
    bytes_uploaded,
    /// Bytes read by the host.
    bytes_read_back,
    /// Times that parameters and the optimizer's state were copied to the host, for checkpoints and the like.
    captures,
    /// Bytes of those copies, which are among the bytes read by the host.
    captured_bytes,
    /// Buffers created.
    buffers,
    /// Bytes of buffers created.
    buffer_bytes,
    /// Bind groups created.
    bind_groups,
    /// Pipelines created; each compiles a shader.
    pipelines,
    /// Times the host waited for the device: for results that were not there when they were asked
    /// for, for values read back, and, training over lanes, for submissions and reports that a lane
    /// could not go on without.
    host_waits,
}
