//! What the workers share: the workloads, the data and first weights they start from, and the
//! protocol by which the driver asks for one measurement at a time.

pub mod data;
pub mod protocol;
pub mod worker;
pub mod workload;
