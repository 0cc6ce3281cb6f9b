//! All integration tests, as one program: it is linked once, and its tests share what is below.
//! A file of them: `cargo test --all-features --test all kernels_matmul::`.

mod common;
mod counted;
mod support;

mod api_properties;
mod assignments;
mod clipping;
mod cluster;
mod data;
mod data_properties;
#[cfg(feature = "decompose")]
mod decompose;
mod devices_lost;
mod differentiation;
mod encoders;
mod errors;
mod errors_executor;
mod errors_remedies;
mod explain;
mod filled;
mod given_up;
mod goldens_gradients;
mod goldens_optimizers;
mod gradients;
mod handles;
mod identities;
mod kernels_arrays;
mod kernels_dropout;
mod kernels_elementwise;
mod kernels_f16;
mod kernels_labels;
mod kernels_limits;
mod kernels_loss;
mod kernels_matmul;

mod kernels_reduce;
mod kernels_rows;
mod kernels_softmax;
mod kernels_turns;
mod kernels_two;
mod kernels_update;
mod kernels_workgroups;
mod lanes;
#[cfg(feature = "digits")]
mod lanes_drivers;
mod lanes_faults;
mod lanes_fit;
mod lanes_given_up;
mod lanes_limits;
mod lanes_measured;
mod lanes_mixed;
mod lanes_options;
mod lanes_random;
mod lanes_shards;
mod lanes_threads;
mod lanes_wire;
mod lanes_world;
mod lanes_world_faults;
mod launch_limits;
mod layer_norm;
mod layer_residual;
mod layers;
#[cfg(feature = "files")]
mod model_encoder;
#[cfg(feature = "files")]
mod model_file;
#[cfg(feature = "files")]
mod model_file_mutated;
mod model_properties;
mod nist;
mod noop;
mod noop_limits;
mod noop_plans;
mod not_finite;
mod onnx;
#[cfg(feature = "onnx")]
mod onnx_models;
#[cfg(feature = "onnx")]
mod onnx_tables;
mod own_operations;
mod page;
#[cfg(feature = "plot")]
mod plot;
mod predictor;
mod send;
mod shaders;
mod source_passes;
mod sources;
mod sources_lanes;
mod step_numbers;
mod texels;
mod threads;
mod timeline;
mod timestamps;
mod training;
mod training_accumulated;
mod training_callbacks;
mod training_callbacks_reused;
mod training_classes;
mod training_devices;
mod training_dropout;
mod training_evaluate;
mod training_frozen;
mod training_l1;
mod training_logged;
mod training_mixed;
mod training_not_finite;
mod training_own;
mod training_reset;
#[cfg(feature = "files")]
mod training_resumed;
mod training_trainers;
mod training_weights;
mod update_in_parts;
mod whole_step;
mod whole_step_dispatches;
mod whole_step_shared;

/// A file that is not listed above would not be compiled, and nobody would miss its tests.
#[test]
fn all_files_are_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            assert!(listed.contains(&format!("\nmod {name};\n")), "tests/main.rs lacks {name}");
        }
    }
}
