//! Lists the adapters there are, best first: what `--adapter` of the other examples chooses from.
//! Fails with what to install if there is none.
//!
//! ```sh
//! cargo run --example adapters
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    for (position, info) in wgrad::adapters_blocking().iter().enumerate() {
        let driver = format!("{} {}", info.driver, info.driver_info);
        println!(
            "{position}: {} ({:?}, {}, {})",
            info.name,
            info.device_type,
            driver.trim(),
            info.backend
        );
    }
    match wgrad::Gpu::new_blocking() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
