//! `block_on` in a browser. Nothing may block there, but WebAssembly's JavaScript Promise
//! Integration can put the whole stack aside until a promise resolves. So tests that wait for the
//! device natively run unchanged. For tests only: not every browser has it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[link(wasm_import_module = "./jspi.mjs")]
unsafe extern "C" {
    /// Returns after the next call of [`wake`], or at once if there was one since it last returned.
    safe fn suspend();
    safe fn wake();
}

struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        wake();
    }
}

/// Runs a future to its end.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let waker = Waker::from(Arc::new(Alarm));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => suspend(),
        }
    }
}
