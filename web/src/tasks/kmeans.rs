//! `KMeans`.

use js_sys::{Float32Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wgrad::cluster::{Clusters, Iteration, Seeding};

use super::table;
use crate::convert::{Record, floats};
use crate::error::{Result, argument, js};
use crate::gpu::{Device, Gpu};
use crate::options::{Options, number};
use crate::promise::promise;
use crate::watch::{Said, Watch};

/// Rows in groups around the means of their groups.
#[wasm_bindgen]
pub struct KMeans {
    device: Device,
    clusters: Clusters,
}

/// What the page is told of an iteration.
struct Told {
    start: usize,
    iteration: usize,
    centers: Vec<f32>,
    labels: Vec<u32>,
}

fn told(told: Told) -> JsValue {
    Record::new()
        .set("start", told.start as f64)
        .set("iteration", told.iteration as f64)
        .set("centers", Float32Array::from(told.centers.as_slice()))
        .set("labels", Uint32Array::from(told.labels.as_slice()))
        .done()
}

fn read(options: &mut Options, columns: usize) -> Result<wgrad::cluster::KMeans> {
    let centers = options.get("centers")?;
    let centers = centers.map(|centers| floats("options.centers", &centers)).transpose()?;
    let clusters = match (options.count("clusters")?, &centers) {
        (Some(clusters), _) => clusters,
        (None, Some(centers)) => centers.len() / columns.max(1),
        (None, None) => {
            return Err(argument(
                options.path("clusters"),
                "missing",
                "how many clusters, at least 1",
            ));
        }
    };
    let names = [("plus_plus", false), ("parallel", true)];
    let seeding = match (options.choice("seeding", &names)?, centers) {
        (Some(_), Some(_)) => {
            let rule = "left out where seeding says where they begin";
            return Err(argument(options.path("centers"), "an array", rule));
        }
        (None, Some(centers)) => Seeding::Centers(centers),
        (Some(true), None) => Seeding::Parallel,
        (_, None) => Seeding::PlusPlus,
    };
    let mut kmeans = wgrad::cluster::KMeans::new(clusters).seeding(seeding);
    if let Some(starts) = options.count("starts")? {
        kmeans = kmeans.starts(starts);
    }
    if let Some(most) = options.count("maxIterations")? {
        kmeans = kmeans.max_iterations(most);
    }
    if let Some(tolerance) = options.get("tolerance")? {
        kmeans = kmeans.tolerance(number(&tolerance, &options.path("tolerance"))?);
    }
    if let Some(rows) = options.count("miniBatch")? {
        kmeans = kmeans.mini_batch(rows);
    }
    Ok(kmeans.seed(options.seed()?.unwrap_or(0)))
}

#[wasm_bindgen]
impl KMeans {
    /// Groups rows: k-means.
    #[wasm_bindgen(unchecked_return_type = "Promise<KMeans>")]
    pub fn fit(
        gpu: &Gpu,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] rows: JsValue,
        #[wasm_bindgen(unchecked_param_type = "KMeansOptions")] options: JsValue,
    ) -> Promise {
        let device = gpu.device.clone();
        let begin = || {
            device.check("fit")?;
            let mut options = Options::new("options", &options)?;
            let (values, columns) = table(&rows, &mut options)?;
            let kmeans = read(&mut options, columns)?;
            let watch = Watch::read(&mut options, "onIteration")?;
            options.finish()?;
            Ok((kmeans, values, columns, watch))
        };
        promise(begin().map(|(kmeans, values, columns, watch)| async move {
            let said = Said::new();
            let to = said.clone();
            let heard = watch.is_heard();
            let hear = move |now: &Iteration<'_>| {
                if !heard {
                    return;
                }
                let (centers, labels) = (now.centers.to_vec(), now.labels.to_vec());
                to.say(Told { start: now.start, iteration: now.iteration, centers, labels });
            };
            let clusters = kmeans.fit_watched(&device.gpu, &values, columns, hear);
            let clusters = watch.over(&said, told, clusters).await?;
            Ok(KMeans { device, clusters }.into())
        }))
    }

    /// The centres, one after another: clusters × columns.
    #[wasm_bindgen(getter)]
    pub fn centers(&self) -> Float32Array {
        Float32Array::from(self.clusters.cluster_centers())
    }

    /// For each row that was fitted, the number of its cluster.
    #[wasm_bindgen(getter)]
    pub fn labels(&self) -> Uint32Array {
        Uint32Array::from(self.clusters.labels())
    }

    /// The sum of the squared distances of all rows that were fitted from their centres.
    #[wasm_bindgen(getter)]
    pub fn inertia(&self) -> f64 {
        self.clusters.inertia()
    }

    /// Iterations of the start that was kept; of mini-batches, how many there were.
    #[wasm_bindgen(getter)]
    pub fn iterations(&self) -> usize {
        self.clusters.iterations()
    }

    /// For each of these rows, the number of the cluster whose centre is nearest.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint32Array>")]
    pub fn predict(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] rows: JsValue,
    ) -> Promise {
        let begin = || {
            self.device.check("predict")?;
            Ok((self.clusters.clone(), floats("rows", &rows)?))
        };
        promise(begin().map(|(clusters, rows)| async move {
            let labels = clusters.predict(&rows).await.map_err(js)?;
            Ok(Uint32Array::from(labels.as_slice()).into())
        }))
    }

    /// For each of these rows, its distances from all centres: rows × clusters.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn transform(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] rows: JsValue,
    ) -> Promise {
        let begin = || {
            self.device.check("transform")?;
            Ok((self.clusters.clone(), floats("rows", &rows)?))
        };
        promise(begin().map(|(clusters, rows)| async move {
            let distances = clusters.transform(&rows).await.map_err(js)?;
            Ok(Float32Array::from(distances.as_slice()).into())
        }))
    }
}
