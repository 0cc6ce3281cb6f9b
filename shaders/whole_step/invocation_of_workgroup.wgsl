// Invocations exchange numbers through workgroup memory.
struct Invocation {
    @builtin(local_invocation_index) number: u32,
}
