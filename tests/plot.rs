//! Histories as pictures.

use wgrad::nn::Metric;
use wgrad::train::{EpochLog, Evaluation, History};

fn history(losses: &[f64], validates: bool) -> History {
    let epochs = losses.len();
    let epoch = |(at, &loss): (usize, &f64)| {
        let metrics = vec![(Metric::Accuracy, 1.0 - loss)];
        EpochLog {
            epoch: at + 1,
            epochs,
            loss,
            metrics: metrics.clone(),
            validation: validates.then_some(Evaluation { rows: 5, loss: 2.0 * loss, metrics }),
            learning_rate: 0.1,
            seconds: 1.0,
        }
    };
    let epochs = losses.iter().enumerate().map(epoch).collect();
    History { epochs, ..History::default() }
}

/// The texts of an SVG document, and how many lines have this colour.
fn texts(svg: &str, colour: &str) -> (Vec<String>, usize) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    let texts = texts.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect();
    let of = |node: &roxmltree::Node<'_, '_>| {
        node.has_tag_name("polyline") && node.attribute("stroke") == Some(colour)
    };
    (texts, document.descendants().filter(of).count())
}

#[test]
fn each_figure_is_a_line_by_epoch() {
    let svg = history(&[0.9, 0.5, 0.4], true).to_svg().unwrap();
    let (said, training) = texts(&svg, "#0072B2");
    let (_, validation) = texts(&svg, "#D55E00");
    for name in ["loss", "val_loss", "accuracy", "val_accuracy", "epoch"] {
        assert!(said.iter().any(|text| text == name), "{name} in {said:?}");
    }
    // A line in each of two panels, and one in its legend.
    assert_eq!((training, validation), (4, 4));
    let (said, _) = texts(&history(&[0.9, 0.5], false).to_svg().unwrap(), "");
    assert!(!said.iter().any(|text| text.starts_with("val_")), "{said:?}");
}

#[test]
fn pictures_of_unusual_histories() {
    let error = History::default().to_svg().unwrap_err().to_string();
    assert!(error.contains("number of epochs"), "{error}");
    let unusual: [&[f64]; 5] = [
        &[0.5],
        &[0.5, 0.5],
        &[f64::NAN, 0.5, f64::INFINITY],
        &[f64::NAN],
        &[1e300, -1e300, 1e-300],
    ];
    for losses in unusual {
        let history = history(losses, true);
        assert!(texts(&history.to_svg().unwrap(), "").0.contains(&"loss".into()), "{losses:?}");
    }
    let png = history(&[0.9, 0.5], true).to_png().unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (800, 640));
}
