//! Files of models as another program could write them: with a checksum that is right, whatever they say.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// What stands in a model's file.
#[derive(Clone)]
pub struct Sealed {
    /// The description, as JSON.
    pub model: String,
    /// Names, shapes and bytes of the tensors, by their names.
    pub tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Sealed {
    /// What stands in a file that is whole.
    pub fn of(bytes: &[u8]) -> Self {
        let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let sealed = metadata.metadata().as_ref().unwrap()["wgrad"].clone();
        let (_, model) = sealed.split_once(r#""model":"#).unwrap();
        let file = SafeTensors::deserialize(bytes).unwrap();
        let tensor = |(name, view): (&str, TensorView)| {
            (name.into(), view.shape().to_vec(), view.data().to_vec())
        };
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = file.iter().map(tensor).collect();
        tensors.sort();
        Self { model: model.strip_suffix('}').unwrap().into(), tensors }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { model, tensors } = self;
        // As `Checksum` and `container.rs` have it.
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        let mut step = |word: u64| sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
        let bytes_of = |step: &mut dyn FnMut(u64), bytes: &[u8]| {
            step(bytes.len() as u64);
            bytes.iter().for_each(|&byte| step(u64::from(byte)));
        };
        bytes_of(&mut step, model.as_bytes());
        step(tensors.len() as u64);
        for (name, shape, data) in tensors {
            bytes_of(&mut step, name.as_bytes());
            shape.iter().for_each(|&extent| step(extent as u64));
            step(shape.len() as u64);
            bytes_of(&mut step, b"F32");
            bytes_of(&mut step, data);
        }
        let sealed = format!(r#"{{"checksum":"{sum:016x}","model":{model}}}"#);
        let views = tensors.iter().map(|(name, shape, data)| {
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
        });
        let metadata = HashMap::from([("wgrad".into(), sealed)]);
        safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap()
    }
}
