//! The command on what is larger than memory: arrays, and tables that are kept on disk.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;

use common::{assert_says, fails, folder, json, out};
use wgrad::data::{NpyWriter, write_idx};

/// Rows of three heaps, whose last number says which.
fn heaps(rows: usize) -> Vec<[f32; 3]> {
    let row = |n: usize| {
        let (heap, off) = ((n % 3) as f32, (n * 37 % 11) as f32 / 100.0);
        [10.0 * heap + off, 2.0 * off - heap, heap]
    };
    (0..rows).map(row).collect()
}

fn npy<const N: usize>(path: &Path, rows: impl IntoIterator<Item = [f32; N]>) {
    let mut file = NpyWriter::create(path, N).unwrap();
    rows.into_iter().for_each(|row| file.write(&row).unwrap());
    file.finish().unwrap();
}

fn csv(rows: &[[f32; 3]]) -> String {
    let line = |row: &[f32; 3]| format!("{},{},h{}\n", row[0], row[1], row[2]);
    "x,y,heap\n".to_owned() + &rows.iter().map(line).collect::<String>()
}

/// An array is clustered as the text with the same numbers; so is a table that is kept on disk.
#[test]
fn arrays_and_tables_on_disk_are_clustered_as_tables() {
    let folder = folder("larger-clusters");
    let rows = heaps(60);
    fs::write(folder.join("rows.csv"), csv(&rows) + ",1,h0\n").unwrap();
    npy(&folder.join("rows.npy"), rows.iter().map(|row| [row[0], row[1]]));
    let asked = ["-k", "3", "--json", "figures.json", "--standardize"];
    let figures = |args: &[&str]| {
        let said = out(&folder, &[&["cluster"][..], args, &asked].concat());
        (said, json(folder.join("figures.json")))
    };
    let text = ["rows.csv", "--ignore", "heap", "--missing", "drop"];
    let (labels, expected) = figures(&text);
    assert!(labels.ends_with("\"\"\n"), "{labels}");
    let (on_disk, found) = figures(&[&text[..], &["--on-disk", "."]].concat());
    assert_eq!((on_disk, &found["inertia"]), (labels.clone(), &expected["inertia"]));
    let left = fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 3, "what was kept on disk is gone");
    let (of_array, found) = figures(&["rows.npy"]);
    assert_eq!(of_array + "\"\"\n", labels);
    let of = |figures: &serde_json::Value| figures["inertia"].as_f64().unwrap();
    // Standardized in f64 and rounded there, or when it is read.
    assert!((of(&found) / of(&expected) - 1.0).abs() < 1e-5, "{found}, not {expected}");

    let lines =
        |args: &[&str]| out(&folder, &[&["pca"][..], args, &["--components", "1"]].concat());
    let on_disk = lines(&[&text[..], &["--on-disk", "."]].concat());
    assert_eq!(lines(&["rows.npy"]) + "\"\"\n", on_disk);

    let said = fails(&folder, 2, &["cluster", "rows.npy", "-k", "3", "--ignore", "0"]);
    assert_says(&said, &["--ignore cannot be used with rows.npy", "leave it out"]);
    let packed = fs::File::create(folder.join("rows.npy.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed.write_all(&fs::read(folder.join("rows.npy")).unwrap()).unwrap();
    packed.finish().unwrap();
    let said = fails(&folder, 1, &["cluster", "rows.npy.gz", "-k", "3"]);
    assert_says(&said, &["rows.npy.gz", "is gzipped", "unpack it first"]);
    let said = fails(&folder, 2, &["pca", "rows.npy", "--delimiter", ";"]);
    assert_says(&said, &["--delimiter is of text", "rows.npy"]);
    let said = fails(&folder, 2, &["cluster", "-", "-k", "3", "--on-disk", "."]);
    assert_says(&said, &["standard input", "give a file"]);
}

/// Arrays with the labels in a file of their own are trained on and predicted, and so is a table on disk.
#[test]
fn arrays_and_tables_on_disk_are_trained_on() {
    let folder = folder("larger-models");
    let rows = heaps(150);
    npy(&folder.join("x.npy"), rows.iter().map(|row| [row[0], row[1]]));
    let labels: Vec<u8> = rows.iter().map(|row| row[2] as u8).collect();
    write_idx(fs::File::create(folder.join("y.idx")).unwrap(), &[150], &labels).unwrap();
    fs::write(folder.join("rows.csv"), csv(&rows)).unwrap();
    let epochs = ["--epochs", "30", "--rate", "0.05", "--hidden", "8", "--json", "figures.json"];
    let arrays = ["train", "x.npy", "--target-table", "y.idx", "--output", "arrays.wgrad"];
    let disk = ["train", "rows.csv", "--on-disk", ".", "--output", "disk.wgrad"];
    for (args, model, table, labels) in [
        (&arrays[..], "arrays.wgrad", "x.npy", ["target", "0", "1", "2"]),
        (&disk, "disk.wgrad", "rows.csv", ["heap", "h0", "h1", "h2"]),
    ] {
        out(&folder, &[args, &epochs].concat());
        let figures = json(folder.join("figures.json"));
        assert!(figures["score"].as_f64().unwrap() > 0.95, "{figures}");
        let counted =
            ["training_rows", "held_out_rows"].map(|name| figures[name].as_u64().unwrap());
        assert_eq!(counted[0] + counted[1], 150, "{figures}");
        let predicted = out(&folder, &["predict", model, table]);
        let predicted: Vec<&str> = predicted.lines().collect();
        assert_eq!((predicted.len(), &predicted[..4]), (151, &labels[..]));
    }
    // A class of a single row; a text beside an array may need the options of text.
    let rare = csv(&rows) + "5,5,rare\n";
    fs::write(folder.join("rare.csv"), &rare).unwrap();
    let few = ["--on-disk", ".", "--epochs", "1", "--output", "rare.wgrad"];
    out(&folder, &[&["train", "rare.csv", "--seed", "13"][..], &few].concat());
    assert_says(&out(&folder, &["show", "rare.wgrad"]), &["4 classes"]);
    fs::write(folder.join("y.txt"), "1\n2\n0\n".repeat(50)).unwrap();
    let beside = ["train", "x.npy", "--target-table", "y.txt", "--no-header"];
    out(&folder, &[&beside[..], &few].concat());
    let said = fails(&folder, 2, &[&disk[..], &["--folds", "3"]].concat());
    assert_says(&said, &["--folds cannot be used with --on-disk"]);
    fs::write(folder.join("few.csv"), csv(&heaps(30))).unwrap();
    let said =
        fails(&folder, 1, &["train", "x.npy", "--target-table", "few.csv", "--on-disk", "."]);
    assert_says(&said, &["150 rows", "30"]);
}
