//! Ctrl-C: the first asks training to end and to keep what there is, the second ends the process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{fs, process, thread};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// What a process ends with that Ctrl-C ended, as shells have it.
pub const INTERRUPTED: u8 = 130;

static PRESSED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Takes Ctrl-C over. Where the system does not let it, Ctrl-C ends the process as ever.
pub fn watch() {
    // In this order: the second looks whether there was a first.
    let taken = flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), PRESSED.clone())
        .and_then(|_| flag::register(SIGINT, PRESSED.clone()));
    if let Err(error) = taken {
        eprintln!("note: Ctrl-C will keep nothing: {error}");
    }
}

/// Has Ctrl-C remove a file and end the process, for work that nothing is kept of.
pub fn remove_and_end(file: PathBuf) {
    watch();
    thread::spawn(move || {
        while !asked() {
            thread::sleep(Duration::from_millis(20));
        }
        // What cannot be removed stays; the process ends as it was asked to.
        let _ = fs::remove_file(file);
        process::exit(INTERRUPTED.into());
    });
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    PRESSED.load(Ordering::SeqCst)
}
