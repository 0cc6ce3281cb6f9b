//! The net as a Burn module, with the weights that every peer starts from.

use bench_common::workload::{self, Net};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Dense layers with ReLU between them.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

/// What a batch should come to.
#[derive(Clone, Debug)]
pub enum Targets {
    Values(Tensor<2>),
    Classes(Tensor<1, Int>),
}

impl Mlp {
    pub fn new(net: &Net, device: &Device) -> Self {
        let layer = |layer: bench_common::data::Layer| {
            let weight = TensorData::new(layer.weight, [layer.inputs, layer.units]);
            let bias = TensorData::new(layer.bias, [layer.units]);
            Linear {
                weight: Param::from_data(weight, device),
                bias: Some(Param::from_data(bias, device)),
            }
        };
        Self { layers: bench_common::data::layers(net).into_iter().map(layer).collect() }
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(x, |x, (index, layer)| {
            let y = layer.forward(x);
            if index < last { relu(y) } else { y }
        })
    }

    pub fn loss(&self, x: Tensor<2>, targets: Targets) -> Tensor<1> {
        let y = self.forward(x);
        match targets {
            Targets::Values(values) => MseLoss::new().forward(y, values, Reduction::Mean),
            Targets::Classes(classes) => {
                CrossEntropyLossConfig::new().init(&y.device()).forward(y, classes)
            }
        }
    }
}

pub fn optimizer(optimizer: workload::Optimizer) -> ModuleOptimizer {
    match optimizer {
        workload::Optimizer::Sgd => SgdConfig::new().init(),
        workload::Optimizer::Adam => AdamConfig::new().with_epsilon(1e-8).init(),
    }
}
