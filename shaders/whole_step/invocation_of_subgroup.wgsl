// The workgroup is one subgroup.
struct Invocation {
    @builtin(subgroup_invocation_id) number: u32,
}
