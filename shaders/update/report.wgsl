// Which step went wrong first, and why: 1 the loss, 2 a gradient or a new value, 3 a row with NaN of which the
// largest or smallest element was asked for; then its serial number and its number. Zeros if none did.

@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;

fn report(kind: u32) {
    atomicStore(&status[0], kind);
    atomicStore(&status[1], step.serial_low);
    atomicStore(&status[2], step.serial_high);
    atomicStore(&status[3], step.number_low);
    atomicStore(&status[4], step.number_high);
}

// Whether an earlier step went wrong. If it is this very step that does, another invocation may just be
// writing the status: each word is then still 0, or this step's.
fn stopped_before() -> bool {
    let low = atomicLoad(&status[1]);
    let high = atomicLoad(&status[2]);
    return (low != 0u && low != step.serial_low) || (high != 0u && high != step.serial_high);
}
