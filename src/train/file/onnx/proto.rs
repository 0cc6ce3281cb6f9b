//! The parts of ONNX messages.

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, NodeProto, TensorProto, TensorShapeProto,
    TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// The domain of the operators of machine learning.
pub(super) const LEARNING: &str = "ai.onnx.ml";

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

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

pub(super) fn strings(name: &str, values: &[String]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        strings: values.to_vec(),
        r#type: Some(AttributeType::STRINGS),
        ..AttributeProto::default()
    }
}

/// A number of a tensor.
pub(super) trait Element: Copy {
    const TYPE: DataType;

    fn bytes(self) -> Vec<u8>;
}

impl Element for f32 {
    const TYPE: DataType = DataType::FLOAT;

    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

impl Element for f64 {
    const TYPE: DataType = DataType::DOUBLE;

    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

impl Element for i64 {
    const TYPE: DataType = DataType::INT64;

    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

/// A tensor of the file.
pub(super) fn tensor<T: Element>(name: &str, shape: &[usize], values: &[T]) -> TensorProto {
    let bytes = values.iter().flat_map(|value| value.bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: Some(T::TYPE),
        raw_data: Some(RefCell::new(bytes)),
        ..TensorProto::default()
    }
}

/// An input or output: any number of rows of a shape.
pub(super) fn rows(name: &str, row: &[usize], of: DataType) -> ValueInfoProto {
    let rows = Dimension { dim_param: Some("rows".into()), ..Dimension::default() };
    let extent =
        |&extent: &usize| Dimension { dim_value: Some(extent as i64), ..Dimension::default() };
    let shape =
        TensorShapeProto { dim: std::iter::once(rows).chain(row.iter().map(extent)).collect() };
    let of = TypeProtoTensor { elem_type: Some(of), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { tensor_type: Some(of), ..TypeProto::default() }),
    }
}
