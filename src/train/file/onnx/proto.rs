//! The parts of ONNX messages.

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, NodeProto, TensorProto, TensorShapeProto,
    TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// A node of the standard operators with one output.
pub(super) fn node(
    op: &str,
    inputs: &[&str],
    output: &str,
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: Some(output.into()),
        op_type: Some(op.into()),
        input: inputs.iter().map(|input| input.to_string()).collect(),
        output: vec![output.into()],
        attribute: attributes,
        ..NodeProto::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        f: Some(value),
        r#type: Some(AttributeType::FLOAT),
        ..AttributeProto::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

/// A tensor of the file.
pub(super) fn tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(bytes)),
        ..TensorProto::default()
    }
}

/// An input or output: any number of rows of a shape.
pub(super) fn rows(name: &str, row: &[usize]) -> ValueInfoProto {
    let rows = Dimension { dim_param: Some("rows".into()), ..Dimension::default() };
    let extent =
        |&extent: &usize| Dimension { dim_value: Some(extent as i64), ..Dimension::default() };
    let shape =
        TensorShapeProto { dim: std::iter::once(rows).chain(row.iter().map(extent)).collect() };
    let of = TypeProtoTensor { elem_type: Some(DataType::FLOAT), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { tensor_type: Some(of), ..TypeProto::default() }),
    }
}
