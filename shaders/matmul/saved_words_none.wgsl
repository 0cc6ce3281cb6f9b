// For epilogues that read nothing beside C.
fn saved_pair(i: u32) -> Pair {
    return Pair();
}
