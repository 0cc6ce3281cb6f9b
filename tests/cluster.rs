//! k-means against scikit-learn from the same centres, against the mathematically right answer where rows are few
//! or alike, and against itself.

use crate::common::random::Random;
use crate::common::{gpu, lanes};
use crate::support::tables::{Table, tables};
use crate::support::text;
use wgrad::Error;
use wgrad::cluster::{Clusters, Iteration, KMeans, Seeding};

/// Hubert and Arabie (1985): 1 for the same clusters, about 0 for clusters of chance.
fn adjusted_rand(a: &[u32], b: &[u32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = |n: f64| n * (n - 1.0) / 2.0;
    let size = a.iter().chain(b).max().unwrap() + 1;
    let count = |is: &dyn Fn(usize) -> bool| pairs((0..a.len()).filter(|&i| is(i)).count() as f64);
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for x in 0..size {
        of_a += count(&|i| a[i] == x);
        of_b += count(&|i| b[i] == x);
        both += (0..size).map(|y| count(&|i| a[i] == x && b[i] == y)).sum::<f64>();
    }
    let expected = of_a * of_b / pairs(a.len() as f64);
    (both - expected) / ((of_a + of_b) / 2.0 - expected)
}

/// From definition: each row's nearest centre, and the squares of distances, in f64.
fn by_definition(values: &[f32], columns: usize, centers: &[f32]) -> (Vec<u32>, Vec<f64>) {
    let squared = |row: &[f32], center: &[f32]| -> f64 {
        row.iter().zip(center).map(|(&x, &c)| (f64::from(x) - f64::from(c)).powi(2)).sum()
    };
    values
        .chunks(columns)
        .map(|row| {
            let squares = centers.chunks(columns).map(|center| squared(row, center));
            let nearest = squares.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            (nearest.0 as u32, nearest.1)
        })
        .unzip()
}

/// What holds of any clustering: labels are of the nearest centres, and the inertia is that of the labels.
fn sound(name: &str, found: &Clusters, values: &[f32], columns: usize) {
    let (labels, squares) = by_definition(values, columns, found.cluster_centers());
    let inertia: f64 = squares.iter().sum();
    // Centres are given in f32.
    let tolerance = 1e-4 * inertia.max(found.inertia()) + 1e-9;
    assert!(
        (inertia - found.inertia()).abs() <= tolerance,
        "{name}: {inertia} {}",
        found.inertia()
    );
    let differ = labels.iter().zip(found.labels()).filter(|(a, b)| a != b).count();
    assert!(differ * 1000 <= labels.len(), "{name}: {differ} labels are not of the nearest centre");
    assert_eq!(found.predict_blocking(values).unwrap(), found.labels(), "{name}");
}

#[test]
fn clusterings_are_scikit_learns() {
    for table in tables() {
        let Table { name, values, columns, clusters, .. } = &table;
        let seeding = Seeding::Centers(table.centers());
        let k_means = KMeans::new(*clusters).seeding(seeding).tolerance(0.0);
        let found = k_means.fit_blocking(&gpu(), values, *columns).unwrap();
        let inertia = table.k_means["inertia"].as_f64().unwrap();
        let labels: Vec<u32> =
            text(&table.k_means["labels"]).bytes().map(|digit| u32::from(digit - b'0')).collect();
        let (ratio, rand) = (found.inertia() / inertia, adjusted_rand(found.labels(), &labels));
        eprintln!("{name}: inertia {ratio} of scikit-learn's, adjusted Rand index {rand}");
        assert!(ratio <= 1.0005, "{name}: inertia {ratio} of scikit-learn's");
        assert!(rand >= 0.98, "{name}: adjusted Rand index {rand}");
        assert_eq!(
            found.iterations() as u64,
            table.k_means["iterations"].as_u64().unwrap(),
            "{name}"
        );
        assert_eq!((found.count(), found.labels().len()), (*clusters, table.rows()));
        if !name.ends_with("100000") {
            sound(name, &found, values, *columns);
        }
    }
}

/// Blobs of rows around `clusters` points, as far from each other as `spread` deviations, and whose blob each is of.
fn blobs(
    random: &mut Random,
    rows: usize,
    columns: usize,
    clusters: usize,
    spread: f32,
) -> (Vec<f32>, Vec<u32>) {
    let centers = random.many(clusters * columns, |r| r.uniform(-spread, spread));
    let labels: Vec<u32> = (0..rows).map(|row| (row % clusters) as u32).collect();
    let normal = |r: &mut Random| (0..12).map(|_| r.unit()).sum::<f32>() - 6.0;
    let of = |&label: &u32| label as usize * columns..(label as usize + 1) * columns;
    let places: Vec<f32> = labels.iter().flat_map(|label| centers[of(label)].to_vec()).collect();
    (places.into_iter().map(|place| place + normal(random)).collect(), labels)
}

/// Of blobs that lie apart every way of seeding finds the blobs.
#[test]
fn blobs_are_found() {
    let mut random = Random::new(3);
    for (rows, columns, clusters) in [(500, 2, 4), (3000, 17, 8), (70_000, 3, 5)] {
        let (values, labels) = blobs(&mut random, rows, columns, clusters, 200.0);
        let plain = KMeans::new(clusters).seed(11);
        for (how, k_means) in [
            ("k-means++", plain.clone().starts(3)),
            ("k-means‖", plain.clone().seeding(Seeding::Parallel).starts(3)),
            ("mini-batches", plain.mini_batch(256)),
        ] {
            let found = k_means.fit_blocking(&gpu(), &values, columns).unwrap();
            let name = format!("{how}, {rows}×{columns} in {clusters}");
            assert_eq!(adjusted_rand(found.labels(), &labels), 1.0, "{name}");
            sound(&name, &found, &values, columns);
        }
    }
}

/// Seeds and iterations are told of in their order, and change nothing.
#[test]
fn iterations_are_watched() {
    let (values, _) = blobs(&mut Random::new(8), 300, 2, 4, 2.0);
    let mut told: Vec<(usize, usize, Vec<f32>, Vec<u32>)> = Vec::new();
    let k_means = KMeans::new(4).starts(2).tolerance(0.0).seed(9);
    let found = k_means.fit_watched_blocking(&gpu(), &values, 2, |now| {
        told.push((now.start, now.iteration, now.centers.to_vec(), now.labels.to_vec()));
    });
    let found = found.unwrap();
    let alone = k_means.fit_blocking(&gpu(), &values, 2).unwrap();
    assert_eq!(
        (found.cluster_centers(), found.labels()),
        (alone.cluster_centers(), alone.labels())
    );
    for start in 0..2 {
        let own: Vec<_> = told.iter().filter(|told| told.0 == start).collect();
        assert!(own.len() > 1 && own.iter().enumerate().all(|(i, told)| told.1 == i), "{start}");
        let seeds = own[0];
        assert!(seeds.3.is_empty() && own[1..].iter().all(|told| told.3.len() == 300));
        // A seed is a row.
        for seed in seeds.2.chunks(2) {
            let at = |row: &&[f32]| (row[0] - seed[0]).abs() + (row[1] - seed[1]).abs() < 1e-4;
            assert!(values.chunks(2).any(|row| at(&row)), "{seed:?}");
        }
    }
    assert!(told.iter().any(|told| told.2 == found.cluster_centers()), "the last of one start");
    let mut batches = Vec::new();
    let learnt = KMeans::new(4).mini_batch(50).max_iterations(3);
    let take = |now: &Iteration<'_>| batches.push((now.iteration, now.labels.len()));
    learnt.fit_watched_blocking(&gpu(), &values, 2, take).unwrap();
    assert!(batches.len() > 2 && batches.iter().enumerate().all(|(i, told)| *told == (i, 0)));
}

/// The same seed gives the same bits: again, and over two devices, with more blocks than one.
#[test]
fn a_seed_gives_the_same_bits() {
    let mut random = Random::new(5);
    // Blocks of 65,536 rows, the last with a few.
    let (values, _) = blobs(&mut random, 140_000, 3, 7, 2.0);
    let gpus = lanes(2);
    for (how, k_means) in [
        ("k-means++", KMeans::new(7)),
        ("k-means‖", KMeans::new(7).seeding(Seeding::Parallel)),
        ("mini-batches", KMeans::new(7).mini_batch(100).max_iterations(1)),
    ] {
        let k_means = k_means.max_iterations(3).seed(2);
        let one = k_means.fit_blocking(&gpu(), &values, 3).unwrap();
        let bits = |found: &Clusters| {
            let centers: Vec<u32> = found.cluster_centers().iter().map(|x| x.to_bits()).collect();
            (centers, found.labels().to_vec(), found.inertia().to_bits(), found.iterations())
        };
        let again = k_means.fit_blocking(&gpu(), &values, 3).unwrap();
        assert_eq!(bits(&one), bits(&again), "{how}");
        let two = k_means.fit_over_blocking(&gpus, &values, 3).unwrap();
        assert_eq!(bits(&one), bits(&two), "{how} over two devices");
        let other = k_means.seed(3).fit_blocking(&gpu(), &values, 3).unwrap();
        assert_ne!(bits(&one).0, bits(&other).0, "{how}: the seed has no part");
    }
}

#[test]
fn distances_are_those_of_the_definition() {
    let mut random = Random::new(8);
    let (mut values, _) = blobs(&mut random, 300, 5, 4, 30.0);
    // Rows that lie on a centre and hardly beside it.
    let found = KMeans::new(4).fit_blocking(&gpu(), &values, 5).unwrap();
    let center = found.cluster_centers()[5..10].to_vec();
    let beside: Vec<f32> = center.iter().map(|x| x + 1e-4).collect();
    values.splice(0..10, center.iter().chain(&beside).copied());
    let distances = found.transform_blocking(&values).unwrap();
    assert_eq!(distances.len(), 300 * 4);
    for (row, distances) in values.chunks(5).zip(distances.chunks(4)) {
        for (center, &distance) in found.cluster_centers().chunks(5).zip(distances) {
            let (_, squares) = by_definition(row, 5, center);
            let expected = squares[0].sqrt();
            // Centres are given in f32, of numbers up to 30.
            let tolerance = 2e-4 * expected + 1e-5;
            assert!((f64::from(distance) - expected).abs() <= tolerance, "{distance} {expected}");
        }
    }
}

/// Few rows, rows that are alike, constant columns, numbers as large and small as there are: the right answer.
#[test]
fn few_and_alike_rows() {
    let fit = |clusters: usize, values: &[f32], columns: usize| {
        let mut found = Vec::new();
        for seeding in [Seeding::PlusPlus, Seeding::Parallel] {
            let k_means = KMeans::new(clusters).seeding(seeding);
            found.push(k_means.fit_blocking(&gpu(), values, columns).unwrap());
            let batches = k_means.mini_batch(3).max_iterations(2);
            found.push(batches.fit_blocking(&gpu(), values, columns).unwrap());
        }
        found
    };
    for found in fit(1, &[3.0, -4.0], 2) {
        assert_eq!(
            (found.cluster_centers(), found.labels(), found.inertia()),
            (&[3.0, -4.0][..], &[0][..], 0.0)
        );
    }
    for found in fit(3, &[7.5; 10], 2) {
        assert_eq!((found.cluster_centers(), found.labels()), (&[7.5; 6][..], &[0; 5][..]));
        assert_eq!(found.inertia(), 0.0);
    }
    // Two different rows, and more clusters than that.
    let rows = [1e5, 1e5 + 1.0, 1e5, 1e5 + 1.0, 1e5, 1e5];
    let found = KMeans::new(4).fit_blocking(&gpu(), &rows, 1).unwrap();
    assert!(found.inertia() < 1e-12, "{}", found.inertia());
    let label = |row: usize| found.labels()[row];
    assert!([2, 4, 5].into_iter().all(|row| label(row) == label(0)) && label(1) == label(3));
    assert_ne!(label(0), label(1));
    // As many clusters as rows: each has its own.
    let rows = [0.0, 1.0, 4.0, 9.0, 16.0];
    for seeding in [Seeding::PlusPlus, Seeding::Parallel] {
        let found = KMeans::new(5).seeding(seeding).fit_blocking(&gpu(), &rows, 1).unwrap();
        assert_eq!(found.inertia(), 0.0);
        let mut labels = found.labels().to_vec();
        labels.sort_unstable();
        assert_eq!(labels, [0, 1, 2, 3, 4]);
    }
    // A constant column, however large, and numbers whose squares are no f32.
    for factor in [1e38, 1e-38] {
        let rows: Vec<f32> =
            [0.0, 0.1, 2.0, 2.1].into_iter().flat_map(|x| [x * factor, factor]).collect();
        let found = KMeans::new(2).fit_blocking(&gpu(), &rows, 2).unwrap();
        assert_eq!(found.labels()[..2], [found.labels()[0]; 2]);
        assert_eq!(found.labels()[2..], [found.labels()[2]; 2]);
        assert_ne!(found.labels()[0], found.labels()[2]);
        let inertia = 0.01 * f64::from(factor).powi(2);
        assert!((found.inertia() / inertia - 1.0).abs() < 1e-3, "{}", found.inertia());
    }
}

/// A cluster that no row comes to takes the row that lies farthest, as scikit-learn has it.
#[test]
fn empty_clusters_begin_anew() {
    let rows = [0.0, 1.0, 2.0, 10.0, 11.0, 40.0];
    // No row is nearest to the second.
    let given = Seeding::Centers(vec![1.0, -500.0, 20.0]);
    let found = KMeans::new(3).seeding(given).fit_blocking(&gpu(), &rows, 1).unwrap();
    assert_eq!(found.labels(), [0, 0, 0, 2, 2, 1]);
    for (center, expected) in found.cluster_centers().iter().zip([1.0, 40.0, 10.5]) {
        assert!((center - expected).abs() < 1e-5, "{center} {expected}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let gpu = gpu();
    let rows = [0.0, 1.0, 2.0, 3.0];
    let refused = |k_means: KMeans, values: &[f32], columns: usize, part: &str| {
        let error = k_means.fit_blocking(&gpu, values, columns).unwrap_err();
        assert!(matches!(error, Error::Argument { .. } | Error::Data(_)), "{error:?}");
        assert!(error.to_string().contains(part), "'{part}' is not in: {error}");
    };
    let two = KMeans::new(2);
    refused(KMeans::new(3), &rows, 2, "at most 2, the number of rows");
    refused(KMeans::new(0), &rows, 2, "at least 1");
    refused(two.clone().starts(0), &rows, 1, "number of starts");
    refused(two.clone().max_iterations(0), &rows, 1, "iterations");
    refused(two.clone().mini_batch(0), &rows, 1, "mini-batch");
    refused(two.clone().tolerance(-1.0), &rows, 1, "tolerance");
    refused(two.clone().tolerance(f64::NAN), &rows, 1, "tolerance");
    refused(two.clone(), &rows, 0, "0");
    refused(two.clone(), &rows, 3, "3");
    refused(two.clone(), &[], 1, "no rows");
    refused(two.clone(), &[0.0, f32::NAN, 1.0], 1, "row 1, column 0");
    refused(two.clone(), &[0.0, 1.0, f32::INFINITY], 1, "inf");
    let given = |centers: &[f32]| KMeans::new(2).seeding(Seeding::Centers(centers.to_vec()));
    refused(given(&[1.0]), &rows, 2, "4: 2 for each of 2");
    refused(given(&[1.0, f32::NAN]), &rows, 1, "[1]");
    refused(given(&[1.0, 2.0]).starts(2), &rows, 1, "1 with given centres");
    let error = two.fit_over_blocking(&[], &rows, 1).unwrap_err();
    assert!(error.to_string().contains("number of devices"), "{error}");
    let found = two.fit_blocking(&gpu, &rows, 2).unwrap();
    assert!(found.predict_blocking(&[1.0]).is_err());
    assert!(found.transform_blocking(&[1.0, f32::NAN]).is_err());
}
