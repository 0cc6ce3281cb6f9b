//! The bytes of a model's file: tensors with names, and a header in the metadata, under one checksum.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::header::Header;
use super::model_file::{ModelFile, refused};
use super::tensor::{NamedTensor, numbers};
use crate::Result;
use crate::checksum::Checksum;
use crate::nn::Loaders;

/// Where the header stands in the metadata.
const KEY: &str = "wgrad";

/// All that is in a file.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) header: Header,
    pub(super) tensors: BTreeMap<String, NamedTensor>,
}

/// What stands in the metadata.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    /// Of the header's text and of all tensors, in hexadecimal digits.
    checksum: String,
    #[serde(borrow)]
    model: &'a RawValue,
}

impl ModelFile {
    /// A model from its bytes.
    ///
    /// Bytes from anywhere may be tried: whatever they say, no more memory is taken than a few times their
    /// length, and a byte that was changed is always found.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) saying what is wrong with them; [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape) if what
    /// they describe is no model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, &Loaders::new())
    }

    /// The same for a model with layers of a program's own, of which `loaders` knows.
    ///
    /// # Errors
    /// Those of [`ModelFile::from_bytes`], and those of the loaders.
    pub fn from_bytes_with(bytes: &[u8], loaders: &Loaders) -> Result<Self> {
        let Container { header, tensors } = Container::from_bytes(bytes)?;
        header.model(tensors, loaders)
    }

    /// As bytes, to be saved.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) if a layer has no [settings](crate::nn::Layer::settings).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Container::of(self)?.to_bytes()
    }
}

impl Container {
    pub(super) fn of(file: &ModelFile) -> Result<Self> {
        let (header, tensors) = Header::of(file)?;
        Ok(Self { header, tensors })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let unwritten =
            |error: serde_json::Error| refused(format!("it cannot be written: {error}"));
        let text = serde_json::to_string(&self.header).map_err(unwritten)?;
        let raw: &RawValue = serde_json::from_str(&text).map_err(unwritten)?;
        let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name, &tensor.shape, bytes)
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            Ok((name.as_str(), view.map_err(|error| refused(format!("tensor '{name}': {error}")))?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let sealed = Sealed { checksum: format!("{:016x}", checksum(&text, &views)), model: raw };
        // One entry: the order of several would differ from run to run.
        let sealed = serde_json::to_string(&sealed).map_err(unwritten)?;
        let metadata = HashMap::from([(KEY.to_string(), sealed)]);
        safetensors::serialize(views, Some(metadata))
            .map_err(|error| refused(format!("it cannot be written: {error}")))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| {
            refused(format!(
                "{what}; it was cut off or changed, or is no such file: take another copy"
            ))
        };
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let sealed = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let Some(sealed) = sealed else {
            return Err(refused(
                "it holds tensors and no model of wgrad: the metadata has no entry `wgrad`; make a model of \
                 the same layers, and give its `set_weights` the tensors",
            ));
        };
        let unread = |error: serde_json::Error| damaged(format!("its description: {error}"));
        let Sealed { checksum: written, model } = serde_json::from_str(sealed).map_err(unread)?;
        // Before the checksum, which another version may take otherwise.
        Header::check_version(model.get()).map_err(unread)??;
        let mut views = file.iter().collect::<Vec<_>>();
        views.sort_unstable_by_key(|&(name, _)| name);
        let found = format!("{:016x}", checksum(model.get(), &views));
        if found != written {
            return Err(damaged(format!("its checksum is {found}, it was saved with {written}")));
        }
        let header: Header = serde_json::from_str(model.get()).map_err(unread)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            if view.dtype() != Dtype::F32 {
                return Err(refused(format!(
                    "tensor '{name}' is of {:?}, not F32, which wgrad saves",
                    view.dtype()
                )));
            }
            let values = numbers(view.data());
            let tensor = NamedTensor { shape: view.shape().to_vec(), values };
            tensors.insert(name.to_string(), tensor);
        }
        Ok(Self { header, tensors })
    }
}

/// Of the header's text and of tensors in the order of their names.
fn checksum(header: &str, tensors: &[(&str, TensorView<'_>)]) -> u64 {
    let start = Checksum::new().bytes(header.as_bytes()).count(tensors.len());
    let sum = tensors.iter().fold(start, |sum, (name, tensor)| {
        let shape = tensor
            .shape()
            .iter()
            .fold(sum.bytes(name.as_bytes()), |sum, &extent| sum.count(extent));
        let kind = format!("{:?}", tensor.dtype());
        shape.count(tensor.shape().len()).bytes(kind.as_bytes()).bytes(tensor.data())
    });
    sum.value()
}
