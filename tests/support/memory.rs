//! How much memory a call takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which also notes the most memory that each thread held at once.
struct Watched;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

impl Watched {
    fn note(change: isize) {
        // A thread that is ending has no cells any more, and nothing to measure.
        let _ = HELD.try_with(|held| {
            held.set(held.get() + change);
            MOST.try_with(|most| most.set(most.get().max(held.get())))
        });
    }
}

// SAFETY: every call goes to the system's allocator as it came; only numbers are kept besides.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::note(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old room and the new one may be held for a moment.
        Self::note(size as isize);
        Self::note(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// What `action` returns, and the most bytes that it held at once, beyond what was held before.
pub fn most_held<T>(action: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = action();
    (result, usize::try_from(MOST.get() - before).unwrap())
}
