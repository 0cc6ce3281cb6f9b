//! Layers in the middle of a graph, as the operations of [`super::cases`].

use wgrad::Error;
use wgrad::nn::Sequential;

use super::cases::{Case, Net};
use super::random::Random;

/// `model` on four rows, between something before it and something after it.
fn case(name: &str, model: Sequential) -> Result<Case, Error> {
    let mut net = Net::new(1000);
    let mut shape = vec![4];
    shape.extend(model.input_shape().dims());
    let x = net.before(shape);
    let (y, parameters) = model.build_training(&mut net.graph, x)?;
    for &parameter in &parameters {
        let elements = net.graph.shape(parameter)?.elements();
        let values = net.random.many(elements, Random::off_zero);
        net.set(parameter, &values);
    }
    net.wrt.extend(parameters);
    net.wrt.push(y);
    Ok(net.after(name, y))
}

pub fn layers(cases: &mut Vec<Case>) -> Result<(), Error> {
    let block = |layers: Sequential| layers.dense(5).tanh().dense(3);
    cases.push(case("residual block", Sequential::new(3).residual(block).tanh())?);
    let inner = |layers: Sequential| layers.sigmoid().residual(|layers| layers.dense(3).tanh());
    cases.push(case("residual block within another", Sequential::new(3).residual(inner))?);
    cases.push(case("layer normalization", Sequential::new(5).layer_norm())?);
    let net = Sequential::new([2, 7]).layer_norm().tanh();
    cases.push(case("layer normalization of rows of two axes", net)?);
    cases.push(case(
        "dropout layer",
        Sequential::new(9).dropout(0.25).dense(7).tanh().dropout(0.4),
    )?);
    Ok(())
}
