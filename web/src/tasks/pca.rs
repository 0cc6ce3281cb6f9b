//! `Pca`.

use js_sys::{Float32Array, Float64Array, Promise};
use wasm_bindgen::prelude::*;
use wgrad::decompose::{PrincipalComponents, Solver};

use super::table;
use crate::convert::floats;
use crate::error::{Result, js};
use crate::gpu::{Device, Gpu};
use crate::options::Options;
use crate::promise::promise;
use crate::watch::{Said, Watch, progress};

/// The directions in which rows differ most.
#[wasm_bindgen]
pub struct Pca {
    device: Device,
    found: PrincipalComponents,
}

fn read(options: &mut Options) -> Result<wgrad::decompose::Pca> {
    let components = options.need_count("components", "how many components, at least 1")?;
    let mut pca = wgrad::decompose::Pca::new(components);
    if let Some(whiten) = options.flag("whiten")? {
        pca = pca.whiten(whiten);
    }
    let solvers =
        [("auto", Solver::Auto), ("exact", Solver::Exact), ("randomized", Solver::Randomized)];
    if let Some(solver) = options.choice("solver", &solvers)? {
        pca = pca.solver(solver);
    }
    if let Some(directions) = options.count("oversampling")? {
        pca = pca.oversampling(directions);
    }
    if let Some(iterations) = options.count("iterations")? {
        pca = pca.iterations(iterations);
    }
    Ok(pca.seed(options.seed()?.unwrap_or(0)))
}

#[wasm_bindgen]
impl Pca {
    /// Finds the principal components of rows.
    #[wasm_bindgen(unchecked_return_type = "Promise<Pca>")]
    pub fn fit(
        gpu: &Gpu,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] rows: JsValue,
        #[wasm_bindgen(unchecked_param_type = "PcaOptions")] options: JsValue,
    ) -> Promise {
        let device = gpu.device.clone();
        let begin = || {
            device.check("fit")?;
            let mut options = Options::new("options", &options)?;
            let (values, columns) = table(&rows, &mut options)?;
            let pca = read(&mut options)?;
            let watch = Watch::read(&mut options, "onProgress")?;
            options.finish()?;
            Ok((pca, values, columns, watch))
        };
        promise(begin().map(|(pca, values, columns, watch)| async move {
            let said = Said::new();
            let to = said.clone();
            let hear = move |done, total| to.say((done, total));
            let found = pca.fit_watched(&device.gpu, &values, columns, hear);
            let found = watch.over(&said, progress, found).await?;
            Ok(Pca { device, found }.into())
        }))
    }

    /// The components, one after another: components × columns. Directions of length 1 at right angles.
    #[wasm_bindgen(getter)]
    pub fn components(&self) -> Float32Array {
        Float32Array::from(self.found.components())
    }

    /// The mean of each column.
    #[wasm_bindgen(getter)]
    pub fn mean(&self) -> Float32Array {
        Float32Array::from(self.found.mean())
    }

    /// The variance of the rows along each component, the largest first.
    #[wasm_bindgen(getter, js_name = explainedVariance)]
    pub fn explained_variance(&self) -> Float64Array {
        Float64Array::from(self.found.explained_variance())
    }

    /// The share of each component in the variance of all columns together.
    #[wasm_bindgen(getter, js_name = explainedVarianceRatio)]
    pub fn explained_variance_ratio(&self) -> Float64Array {
        Float64Array::from(self.found.explained_variance_ratio())
    }

    /// The root of the sum of squares along each component.
    #[wasm_bindgen(getter, js_name = singularValues)]
    pub fn singular_values(&self) -> Float64Array {
        Float64Array::from(self.found.singular_values())
    }

    /// Rows as they are seen from the mean along each component: rows × components.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn transform(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] rows: JsValue,
    ) -> Promise {
        let begin = || {
            self.device.check("transform")?;
            Ok((self.found.clone(), floats("rows", &rows)?))
        };
        promise(begin().map(|(found, rows)| async move {
            let along = found.transform(&rows).await.map_err(js)?;
            Ok(Float32Array::from(along.as_slice()).into())
        }))
    }

    /// Rows with these numbers along the components: rows × columns.
    #[wasm_bindgen(js_name = inverseTransform, unchecked_return_type = "Promise<Float32Array>")]
    pub fn inverse_transform(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] transformed: JsValue,
    ) -> Promise {
        let begin = || {
            self.device.check("inverseTransform")?;
            Ok((self.found.clone(), floats("transformed", &transformed)?))
        };
        promise(begin().map(|(found, along)| async move {
            let rows = found.inverse_transform(&along).await.map_err(js)?;
            Ok(Float32Array::from(rows.as_slice()).into())
        }))
    }
}
