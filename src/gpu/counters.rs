//! Counting what is done on a device. Counts hold on every machine, also where times do not.

use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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
