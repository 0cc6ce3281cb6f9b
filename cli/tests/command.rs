//! The command, as people run it: on small tables, from start to end.

mod common;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use common::{assert_says, command, fails, folder, json, out, run};

/// Rows of flowers: a class that follows from a number and a colour; some colours are missing.
fn flowers(rows: usize) -> String {
    let row = |n: usize| {
        let length = (n * 37 % 101) as f64 / 10.0;
        let colour = ["red", "blue", "", "white"][n * 13 % 4];
        let kind = match (length > 5.0, colour) {
            (true, "red") => "rose",
            (true, _) => "lily",
            (false, _) => "iris",
        };
        format!("{length},{colour},{},{kind}\n", n % 7)
    };
    "length,colour,noise,kind\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

/// Rows of a number that follows from two others.
fn heights(rows: usize) -> String {
    let row = |n: usize| {
        let (a, b) = ((n * 37 % 101) as f64, (n * 53 % 89) as f64);
        format!("{a};{b};{}\n", 1000.0 + 3.0 * a - (b / 20.0).powi(2))
    };
    "a;b;height\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

#[test]
fn a_table_becomes_a_model_that_predicts() {
    let folder = folder("classes");
    fs::write(folder.join("flowers.csv"), flowers(160)).unwrap();
    let train =
        ["train", "flowers.csv", "--target", "kind", "--epochs", "300", "--json", "train.json"];
    assert_eq!(out(&folder, &train), "");
    let figures = json(folder.join("train.json"));
    assert_eq!(figures["metric"], "accuracy");
    let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}"));
    assert!(number("score") > 0.9 && number("baseline") < 0.7, "{figures}");
    assert_eq!((number("epochs"), figures["task"].as_str()), (300.0, Some("classification")));
    assert!(number("seconds") > 0.0 && !figures["adapter"].as_str().unwrap().is_empty());

    // Predictions are rows of CSV, for columns in any order, from a file, a pipe, or gzipped.
    let rows = "colour,extra,noise,length\nred,1,0,9.5\nblue,2,0,9.5\ngreen,3,0,0.5\n";
    fs::write(folder.join("rows.csv"), rows).unwrap();
    let predicted = out(&folder, &["predict", "kind.wgrad", "rows.csv"]);
    assert_eq!(predicted, "kind\nrose\nlily\niris\n");
    let mut piped = command(&folder, &["predict", "kind.wgrad", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
    let piped = piped.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), predicted);
    // What is new in the rows is said beside the predictions, and not among them.
    assert_says(&String::from_utf8(piped.stderr).unwrap(), &["\"green\"", "\"extra\""]);
    // What is looked at of a pipe would be gone.
    #[cfg(unix)]
    {
        let pipe = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let rows = rows.to_owned();
        let writer = std::thread::spawn(move || fs::write(pipe, rows).unwrap());
        assert_eq!(out(&folder, &["predict", "kind.wgrad", "pipe"]), predicted);
        writer.join().unwrap();
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(rows.as_bytes()).unwrap();
    fs::write(folder.join("rows.csv.gz"), packed.finish().unwrap()).unwrap();
    assert_eq!(out(&folder, &["predict", "kind.wgrad", "rows.csv.gz"]), predicted);

    let proba = out(&folder, &["predict", "kind.wgrad", "rows.csv", "--proba"]);
    assert!(proba.starts_with("kind,p(iris),p(lily),p(rose)\n"));
    for line in proba.lines().skip(1) {
        let sum: f64 = line.split(',').skip(1).map(|p| p.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{line}");
    }

    let evaluate = ["evaluate", "kind.wgrad", "flowers.csv", "--json", "evaluate.json"];
    assert_says(
        &out(&folder, &evaluate),
        &["rows: 160", "accuracy: ", "F1 (macro): ", "confusion"],
    );
    let figures = json(folder.join("evaluate.json"));
    assert!(figures["score"].as_f64().unwrap() > 0.9);
    let count: u64 = figures["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(count, 160);

    out(&folder, &["explain", "kind.wgrad", "flowers.csv", "--json", "explain.json"]);
    let columns = json(folder.join("explain.json"))["columns"].clone();
    let of = |name: &str| {
        let column = columns.as_array().unwrap().iter().find(|column| column["column"] == name);
        column.unwrap()["importance"].as_f64().unwrap()
    };
    assert!(of("length") > 0.2 && of("colour") > 0.1 && of("noise").abs() < 0.1, "{columns}");
    let said =
        out(&folder, &["explain", "kind.wgrad", "rows.csv", "--row", "0", "--json", "row.json"]);
    assert_says(&said, &["kind is rose", "length = 9.5", "colour = red"]);
    let row = json(folder.join("row.json"))["probability of rose"].clone();
    let shares = row["columns"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|column| column["contribution"].as_f64().unwrap()).sum();
    let (mean, prediction) = (row["mean"].as_f64().unwrap(), row["prediction"].as_f64().unwrap());
    assert!((mean + sum - prediction).abs() < 1e-4, "{row}");

    assert_says(
        &out(&folder, &["show", "kind.wgrad"]),
        &["3 classes", "blue, red, white, missing", "parameters"],
    );
    let shown: Value =
        serde_json::from_str(&out(&folder, &["show", "kind.wgrad", "--json"])).unwrap();
    assert_eq!(shown["classes"], serde_json::json!(["iris", "lily", "rose"]));
}

#[test]
fn numbers_are_predicted_in_their_unit() {
    let folder = folder("numbers");
    fs::write(folder.join("heights.csv"), heights(150)).unwrap();
    // The last column is the target, and how long to train is found.
    let output = run(
        &folder,
        &["train", "heights.csv", "--hidden", "16", "--json", "j.json", "--output", "m.wgrad"],
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_says(
        &said,
        &["target: height, numbers", "hidden layers 16", "R²", "adapter: ", "column: a, number"],
    );
    let figures = json(folder.join("j.json"));
    assert_eq!(figures["metric"], "r_squared");
    assert!(figures["score"].as_f64().unwrap() > 0.9, "{figures}");
    let rows = "a;b\n50;10\n;10\n";
    fs::write(folder.join("rows.csv"), rows).unwrap();
    let predicted = out(&folder, &["predict", "m.wgrad", "rows.csv"]);
    let numbers: Vec<f64> = predicted.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 2);
    assert!((numbers[0] - 1149.75).abs() < 60.0, "{predicted}");
    // Training on from the file.
    let resume = [
        "train",
        "heights.csv",
        "--resume",
        "m.wgrad",
        "--epochs",
        "2",
        "--output",
        "n.wgrad",
        "--quiet",
    ];
    let output = run(&folder, &resume);
    assert!(
        output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    let steps = |model: &str| {
        let shown: Value = serde_json::from_str(&out(&folder, &["show", model, "--json"])).unwrap();
        shown["steps"].as_u64().unwrap()
    };
    assert_eq!(steps("n.wgrad"), steps("m.wgrad") + 2 * 120u64.div_ceil(64));
    // The same command gives the same model.
    let again = ["train", "heights.csv", "--hidden", "16", "--epochs", "3", "--output"];
    let bytes = |name: &str| {
        out(&folder, &[&again[..], &[name]].concat());
        fs::read(folder.join(name)).unwrap()
    };
    assert!(bytes("1.wgrad") == bytes("2.wgrad"));
}

#[test]
fn folds_and_a_target_beside_the_table() {
    let folder = folder("folds");
    let table: String = (0..60).map(|n| format!("{} {}\n", n % 10, n % 3)).collect();
    let targets: String = (0..60).map(|n| format!("{}.5\n", n % 10 + 2 * (n % 3))).collect();
    fs::write(folder.join("x.txt"), table).unwrap();
    fs::write(folder.join("y.txt"), targets).unwrap();
    let args = [
        "train",
        "x.txt",
        "--target-table",
        "y.txt",
        "--folds",
        "3",
        "--epochs",
        "100",
        "--rate",
        "0.01",
        "--json",
        "j.json",
    ];
    out(&folder, &args);
    let figures = json(folder.join("j.json"));
    assert_eq!(figures["folds"].as_array().unwrap().len(), 3);
    assert_eq!(figures["training_rows"], 60);
    assert!(figures["score"].as_f64().unwrap() > 0.9, "{figures}");
    assert!(folder.join("target.wgrad").exists() && folder.join("target.html").exists());
}

/// The page parses as XML, names nothing outside itself, and says in words what its pictures show; names of
/// columns and classes are text, whatever they hold.
#[test]
fn the_report_is_one_page_for_everybody() {
    let folder = folder("report");
    let table = flowers(100).replace("colour", "<b>&colour\"").replace("rose", "<script>rose");
    fs::write(folder.join("flowers.csv"), table).unwrap();
    out(&folder, &["train", "flowers.csv", "--epochs", "3"]);
    let page = fs::read_to_string(folder.join("kind.html")).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let all = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
    assert_eq!(all("script") + all("img") + all("link") + all("b"), 0);
    assert!(all("h1") == 1 && all("h2") == 5 && all("main") == 1);
    for node in document.descendants().filter(|node| node.tag_name().name() == "svg") {
        assert!(node.attribute("role") == Some("img") && node.attribute("aria-label").is_some());
    }
    for node in document.descendants().filter(|node| node.has_tag_name("th")) {
        assert!(node.attribute("scope").is_some());
    }
    for address in ["http", "url("] {
        assert!(!page.contains(address), "the page names {address}");
    }
    assert_says(
        &page,
        &["lang=\"en\"", "viewport", "prefers-color-scheme: dark", "&lt;script&gt;rose"],
    );
    // The numbers: a picture of each prediction.
    fs::write(folder.join("heights.csv"), heights(60)).unwrap();
    out(&folder, &["train", "heights.csv", "--epochs", "3"]);
    let page = fs::read_to_string(folder.join("height.html")).unwrap();
    assert_eq!(page.matches("<circle").count(), 12);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let folder = folder("errors");
    let names: String = (0..40).map(|n| format!("Name {n},{n},{}\n", n % 2)).collect();
    fs::write(folder.join("names.csv"), format!("name,x,y\n{names}")).unwrap();
    let said = fails(&folder, 1, &["train", "names.csv"]);
    assert_says(&said, &["names.csv", "\"name\"", "text", "--ignore 'name'"]);
    let ignore = ["train", "names.csv", "--ignore", "name", "--epochs", "1"];
    out(&folder, &ignore);
    let said = fails(&folder, 1, &["train", "names.csv", "--target", "z"]);
    assert_says(&said, &["no column \"z\"", "\"name\", \"x\", \"y\""]);
    assert_says(&fails(&folder, 1, &["train", "nowhere.csv"]), &["nowhere.csv", "cannot be read"]);
    let said =
        fails(&folder, 1, &["train", "names.csv", "--ignore", "name", "--adapter", "nobody"]);
    assert_says(&said, &["nobody"]);
    fs::write(folder.join("other.csv"), "z\n1\n").unwrap();
    let said = fails(&folder, 1, &["evaluate", "y.wgrad", "other.csv"]);
    assert_says(&said, &["other.csv", "lacks", "\"x\""]);
    // A first line of which some fields are numbers may be a row.
    fs::write(folder.join("rows.csv"), heights(30).replacen("a;b;height", "1.5;b;height", 1))
        .unwrap();
    let output = run(&folder, &["train", "rows.csv", "--epochs", "1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_says(&said, &["(1.5, b, height)", "--no-header", "--folds holds out all"]);
    fs::write(folder.join("few.csv"), "x,y\n1,a\n2,b\n3,c\n").unwrap();
    assert_says(&fails(&folder, 1, &["train", "few.csv"]), &["3 rows, a few of each class"]);
    fs::write(folder.join("far.csv"), "x,y\n1,1e300\n2,2e300\n3,3e300\n").unwrap();
    let said = fails(&folder, 1, &["train", "far.csv"]);
    assert_says(&said, &["far.csv", "line", "\"y\"", "e300", "another unit"]);
    // An odd number in the target is no reason to leave the target out.
    let odd: String = (0..30).map(|n| format!("{n},{n}.5\n")).collect();
    fs::write(folder.join("odd.csv"), format!("x,y\n{odd}9,\"1,234\"\n")).unwrap();
    let said = fails(&folder, 1, &["train", "odd.csv"]);
    assert_says(&said, &["\"y\"", "1,234"]);
    assert!(!said.contains("--ignore"), "{said}");
    let said = fails(&folder, 1, &["train", "odd.csv", "--target", "x"]);
    assert_says(&said, &["--ignore 'y'"]);
    assert_says(&fails(&folder, 1, &["train", "."]), &[".: is a folder; give a file"]);
    let nowhere = ["train", "few.csv", "--output", "nowhere/m.wgrad"];
    fs::write(folder.join("few.csv"), heights(30)).unwrap();
    for more in [&["--epochs", "1"][..], &["--resume", "y.wgrad"], &["--on-disk", "."]] {
        let said = fails(&folder, 1, &[&nowhere[..], more].concat());
        assert_says(&said, &["nowhere: there is no such folder"]);
    }
    let said = fails(&folder, 1, &["evaluate", "y.wgrad", "names.csv", "--json", "nowhere/j"]);
    assert_says(&said, &["nowhere: there is no such folder"]);
    fs::write(folder.join("not.wgrad"), "nothing").unwrap();
    assert_says(&fails(&folder, 1, &["show", "not.wgrad"]), &["not.wgrad"]);
    // What the options say is wrong is the exit code 2.
    for (args, part) in [
        (&["train"][..], "TABLE"),
        (&["train", "names.csv", "--epochs", "0"], "--epochs is 0"),
        (&["train", "names.csv", "--rate", "-1"], "-1"),
        (&["train", "names.csv", "--ignore", "name", "--validation", "1.5"], "--validation is 1.5"),
        (&["train", "names.csv", "--ignore", "name", "--metric", "r2"], "--metric r_squared"),
        (&["train", "names.csv", "--ignore", "name", "--folds", "1"], "--folds is 1"),
        (&["explain", "y.wgrad", "names.csv", "--row", "40"], "40 rows"),
        (&["train", "names.csv", "--resume", "y.wgrad", "--optimizer", "sgd"], "--optimizer"),
        (&["nothing"], "nothing"),
    ] {
        assert_says(&fails(&folder, 2, args), &[part]);
    }
}

/// The file keeps the weights, by which the model trains on.
#[test]
fn several_processes_are_for_the_command_with_mpi() {
    let folder = folder("without-mpi");
    fs::write(folder.join("flowers.csv"), flowers(20)).unwrap();
    let said = fails(&folder, 2, &["train", "flowers.csv", "--mpi"]);
    assert_says(&said, &["built without MPI", "cargo install --path mpi/command"]);
    assert_says(&fails(&folder, 2, &["train", "flowers.csv", "--micro-batches", "2"]), &["--mpi"]);
}

#[test]
fn rare_classes_count_as_much_as_others() {
    let folder = folder("weighted");
    fs::write(folder.join("flowers.csv"), flowers(60)).unwrap();
    let train = ["train", "flowers.csv", "--epochs", "2", "--quiet"];
    let weights = |args: &[&str]| {
        out(&folder, &[&train[..], args].concat());
        let file = wgrad::train::ModelFile::read(folder.join("kind.wgrad")).unwrap();
        let config = format!("{:?}", file.config());
        config.split_once("class_weights: ").unwrap().1.to_owned()
    };
    assert!(weights(&["--target", "kind"]).starts_with("None"));
    let balanced = weights(&["--target", "kind", "--class-weights", "balanced"]);
    assert!(balanced.starts_with("Some(["), "{balanced}");
    let resumed = weights(&["--resume", "kind.wgrad", "--output", "kind.wgrad"]);
    assert_eq!(resumed, balanced);
}

#[test]
fn devices_are_listed() {
    let folder = folder("devices");
    assert!(!out(&folder, &["devices"]).is_empty());
    let shown: Value = serde_json::from_str(&out(&folder, &["devices", "--json"])).unwrap();
    assert!(shown[0]["name"].is_string(), "{shown}");
    assert_says(&out(&folder, &["--help"]), &["train", "predict", "explain", "devices"]);
}

/// Rows in three heaps, a word that is to be ignored, and a row that lacks a value.
#[test]
fn rows_become_clusters_and_components() {
    let folder = folder("clusters");
    let row = |n: usize| {
        let (heap, off) = (n % 3, (n * 37 % 11) as f64 / 100.0);
        format!("{},{},{}\n", 10.0 * heap as f64 + off, 2.0 * off - heap as f64, ["a", "b"][n % 2])
    };
    let rows = "x,y,word\n".to_owned() + &(0..60).map(row).collect::<String>() + ",1,a\n";
    fs::write(folder.join("rows.csv"), rows).unwrap();
    let args = ["rows.csv", "--ignore", "word", "--missing", "drop", "--json", "figures.json"];
    let said = out(&folder, &[&["cluster", "-k", "3"][..], &args].concat());
    let labels: Vec<&str> = said.lines().collect();
    assert_eq!(
        (labels[0], labels.len(), labels[61]),
        ("cluster", 62, "\"\""),
        "a line for each row"
    );
    assert!((1..61).all(|row| (labels[row] == labels[1]) == (row % 3 == 1)), "{labels:?}");
    let figures = json(folder.join("figures.json"));
    assert_eq!(figures["sizes"], serde_json::json!([20, 20, 20]));
    // By the definition, with the means of the heaps.
    let of = |n: usize| (n * 37 % 11) as f64 / 100.0;
    let inertia: f64 = (0..3)
        .map(|heap| {
            let offs: Vec<f64> = (heap..60).step_by(3).map(of).collect();
            let mean = offs.iter().sum::<f64>() / 20.0;
            offs.iter().map(|off| 5.0 * (off - mean).powi(2)).sum::<f64>()
        })
        .sum();
    let found = figures["inertia"].as_f64().unwrap();
    assert!((found / inertia - 1.0).abs() < 1e-4, "{found}, not {inertia}");
    assert!(figures["iterations"].as_u64().unwrap() >= 1);

    let said = out(&folder, &[&["pca", "--components", "1"][..], &args].concat());
    let numbers: Vec<&str> = said.lines().collect();
    assert_eq!((numbers[0], numbers.len(), numbers[61]), ("pc1", 62, "\"\""));
    let figures = json(folder.join("figures.json"));
    let ratio = figures["explained_variance_ratio"][0].as_f64().unwrap();
    assert!(ratio > 0.99 && ratio < 1.0, "{figures}");
    let variance = figures["explained_variance"][0].as_f64().unwrap();
    // Of the heaps, at 0, 10 and 20 and at 0, -1 and -2, along their line.
    assert!((variance / (101.0 * 2.0 / 3.0 * 60.0 / 59.0) - 1.0).abs() < 0.01, "{variance}");

    let said = fails(&folder, 1, &["cluster", "rows.csv", "-k", "99", "--missing", "drop"]);
    assert_says(&said, &["number of clusters is 99", "at most 60"]);
    assert_says(&fails(&folder, 2, &["cluster", "rows.csv"]), &["--clusters <CLUSTERS>"]);
}

/// Ctrl-C ends training, and the model so far is kept.
#[cfg(unix)]
#[test]
fn control_c_keeps_what_there_is() {
    let folder = folder("interrupted");
    fs::write(folder.join("flowers.csv"), flowers(160)).unwrap();
    let args = ["train", "flowers.csv", "--epochs", "100000000"];
    let mut child = command(&folder, &args).stderr(Stdio::piped()).spawn().unwrap();
    // Not before training has begun: until then there is nothing to keep.
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("net: ") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0);
    }
    let rest = std::thread::spawn(move || std::io::read_to_string(said).unwrap());
    std::thread::sleep(std::time::Duration::from_secs(2));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{}", rest.join().unwrap());
    assert_says(&out(&folder, &["predict", "kind.wgrad", "flowers.csv"]), &["kind\n"]);
    assert!(folder.join("kind.html").exists());
    assert!(!folder.join("kind.wgrad.checkpoints").exists());
}

/// Killed at any moment, the same command with `--resume` comes to the model of an undisturbed one, to the byte.
#[test]
fn a_killed_training_is_gone_on_with() {
    let folder = folder("killed");
    fs::write(folder.join("flowers.csv"), flowers(120)).unwrap();
    let left = folder.join("killed.wgrad.checkpoints");
    // The second of the trainings that find how long to train; and the only one, where that is said.
    for (training, more) in [("1", &["--checkpoint", "20"][..]), ("0", &LONG)] {
        let train = |output: &str, last: &[&str]| {
            let args =
                ["train", "flowers.csv", "--hidden", "6", "--rate", "0.01", "--output", output];
            command(&folder, &[&args[..], more, last].concat())
        };
        assert!(train("whole.wgrad", &["--quiet"]).status().unwrap().success());
        let mut child = train("killed.wgrad", &["--quiet"]).spawn().unwrap();
        // A file that is whole.
        let begun = || {
            fs::read_dir(left.join(training)).is_ok_and(|files| {
                files.flatten().any(|file| file.path().extension().is_some_and(|e| e == "wgrad"))
            })
        };
        while !begun() {
            assert_eq!(child.try_wait().unwrap(), None, "it ends before it is killed");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(left.exists() && !folder.join("killed.wgrad").exists());

        let other = train("killed.wgrad", &["--resume", "--batch", "50"]).output().unwrap();
        assert_says(&String::from_utf8(other.stderr).unwrap(), &["another, or in other batches"]);
        let resumed = train("killed.wgrad", &["--resume"]).output().unwrap();
        let said = String::from_utf8(resumed.stderr).unwrap();
        assert!(resumed.status.success(), "{said}");
        assert_says(&said, &["goes on from killed.wgrad.checkpoints"]);
        let bytes = |name: &str| fs::read(folder.join(name)).unwrap();
        assert!(bytes("killed.wgrad") == bytes("whole.wgrad"), "{said}");
        assert!(!left.exists());
        fs::remove_file(folder.join("killed.wgrad")).unwrap();
    }
    // Where nothing was broken off it is said, and a folder that holds none is refused.
    let anew = ["train", "flowers.csv", "--epochs", "1", "--resume"];
    assert_says(
        &String::from_utf8(run(&folder, &anew).stderr).unwrap(),
        &["no training that was broken off"],
    );
    // Nothing of that folder is touched.
    for file in ["lock", "removed"] {
        fs::write(folder.join(file), "own").unwrap();
    }
    let said = fails(&folder, 1, &[&anew[..], &["."]].concat());
    assert_says(&said, &[". holds no training"]);
    for file in ["lock", "removed"] {
        assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), "own");
    }
    assert!(!folder.join(".wgrad-lock").exists());
    // Nor is it a training where a process was killed before its first file.
    fs::create_dir_all(folder.join("kind.wgrad.checkpoints/0")).unwrap();
    let said = String::from_utf8(run(&folder, &anew).stderr).unwrap();
    assert_says(&said, &["no training that was broken off"]);
    assert!(!folder.join("kind.wgrad.checkpoints").exists());
    // What a command was killed over that removed it is no training.
    fs::create_dir_all(left.join("0")).unwrap();
    for file in ["0/step-000000000100.wgrad", ".wgrad-removed"] {
        fs::write(left.join(file), "").unwrap();
    }
    let gone = ["--resume", "killed.wgrad.checkpoints"];
    let said = fails(&folder, 1, &[&anew[..4], &gone].concat());
    assert_says(&said, &["killed.wgrad.checkpoints holds no training"]);
    assert!(!left.exists());
    for more in [&[][..], &["--hidden", "6"]] {
        let said = fails(&folder, 1, &[&anew[..4], &gone, more].concat());
        assert_says(&said, &["killed.wgrad.checkpoints: there is no such model, and no folder"]);
    }
    // While another command is at work there, and not after it.
    fs::create_dir(&left).unwrap();
    let lock = fs::File::create(left.join(".wgrad-lock")).unwrap();
    lock.try_lock().unwrap();
    let second = [&anew[..4], &["--output", "killed.wgrad"]].concat();
    let said = fails(&folder, 1, &second);
    assert_says(&said, &["killed.wgrad.checkpoints: another command", "--output"]);
    drop(lock);
    out(&folder, &second);
    assert!(!left.exists());
}

/// Epochs enough for a process to be killed among them.
const LONG: [&str; 4] = ["--epochs", "1500", "--checkpoint", "50"];
