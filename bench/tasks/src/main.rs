//! Clusters rows or finds their principal components, and says how long it took, for `run.py` beside it:
//!
//! ```text
//! bench-tasks FILE ROWS COLUMNS kmeans CLUSTERS ITERATIONS FILE_OF_CENTERS|plus-plus
//! bench-tasks FILE ROWS COLUMNS pca COMPONENTS
//! ```
//!
//! Files hold numbers of f32, little-endian, row after row. It computes once for each line that it reads, so that the
//! driver decides whose turn it is; the first time compiles the kernels.

use std::error::Error;
use std::io::{BufRead, stdin};
use std::time::Instant;

use serde_json::{Value, json};
use wgrad::Gpu;
use wgrad::cluster::{KMeans, Seeding};
use wgrad::decompose::Pca;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [file, rows, columns, task @ ..] = words.as_slice() else {
        return Err("FILE ROWS COLUMNS task".into());
    };
    let (rows, columns): (usize, usize) = (rows.parse()?, columns.parse()?);
    let values = numbers(file)?;
    if values.len() != rows * columns {
        return Err(format!("{file} holds {} numbers, not {rows} × {columns}", values.len()).into());
    }
    let gpu = Gpu::new_blocking()?;
    println!("{}", json!({ "adapter": gpu.describe() }));
    for line in stdin().lock().lines() {
        line?;
        let since = Instant::now();
        let mut found = match task {
            ["kmeans", clusters, iterations, centers] => {
                let seeding = match *centers {
                    "plus-plus" => Seeding::PlusPlus,
                    file => Seeding::Centers(numbers(file)?),
                };
                let means = KMeans::new(clusters.parse()?).seeding(seeding);
                let means = means.max_iterations(iterations.parse()?).tolerance(0.0);
                let found = means.fit_blocking(&gpu, &values, columns)?;
                json!({ "inertia": found.inertia(), "iterations": found.iterations() })
            }
            ["pca", components] => {
                let found = Pca::new(components.parse()?).fit_blocking(&gpu, &values, columns)?;
                json!({ "variance": found.explained_variance() })
            }
            _ => return Err(format!("no such task: {task:?}").into()),
        };
        found["seconds"] = Value::from(since.elapsed().as_secs_f64());
        println!("{found}");
    }
    Ok(())
}

fn numbers(file: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    Ok(bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect())
}
