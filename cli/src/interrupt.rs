//! Ctrl-C: the first asks training to end and to keep what there is, the second ends the process.

use std::sync::atomic::{AtomicUsize, Ordering};

static PRESSED: AtomicUsize = AtomicUsize::new(0);

/// Takes Ctrl-C over. Where the system does not let it, Ctrl-C ends the process as ever.
pub fn watch() {
    let taken = ctrlc::set_handler(|| {
        if PRESSED.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    });
    if let Err(error) = taken {
        eprintln!("note: Ctrl-C will keep nothing: {error}");
    }
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    PRESSED.load(Ordering::SeqCst) > 0
}
