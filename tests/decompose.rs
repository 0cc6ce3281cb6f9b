//! Principal components against scikit-learn, against each other, and where rows are few or alike.

use approx::assert_abs_diff_eq;

use crate::common::random::Random;
use crate::common::{gpu, lanes};
use crate::support::numbers;
use crate::support::tables::tables;
use wgrad::Error;
use wgrad::decompose::{Pca, PrincipalComponents, Solver};

fn dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum()
}

fn fit(pca: &Pca, values: &[f32], columns: usize) -> PrincipalComponents {
    pca.fit_blocking(&gpu(), values, columns).unwrap()
}

/// Variances within 1e-4; directions within 1e-6 where the variances beside differ by a tenth, with the same signs.
#[test]
fn components_are_scikit_learns() {
    for table in tables() {
        let (name, columns) = (&table.name, table.columns);
        let of = |key: &str| numbers(&table.pca[key]);
        let (variance, ratio) = (of("variance"), of("ratio"));
        let found = fit(&Pca::new(columns.min(table.rows())), &table.values, columns);
        let total: f64 = variance.iter().sum();
        let figures = found.explained_variance().iter().zip(&variance);
        for (i, ((found, expected), (of_all, share))) in
            figures.zip(found.explained_variance_ratio().iter().zip(&ratio)).enumerate()
        {
            // What is nothing beside the whole is nothing but rounding, in scikit-learn as well.
            let tolerance = 1e-4 * expected + 1e-9 * total;
            assert!(
                (found - expected).abs() <= tolerance,
                "{name}, variance {i}: {found} {expected}"
            );
            assert_abs_diff_eq!(of_all, share, epsilon = 1e-4);
        }
        let few = 4.min(columns);
        let directions = of("components");
        for (i, direction) in directions.chunks(columns).enumerate() {
            let apart = |j: usize| (variance[i] - variance[j]).abs() > 0.1 * variance[i];
            if (i == 0 || apart(i - 1)) && (i + 1 >= columns || apart(i + 1)) {
                let cosine = dot(&found.components()[i * columns..][..columns], direction);
                assert!(1.0 - cosine <= 1e-6, "{name}, component {i}: cosine {cosine}");
            }
        }
        let short = fit(&Pca::new(few), &table.values, columns);
        let some = &table.values[..5 * columns];
        let deviation = variance[0].sqrt();
        let along = short.transform_blocking(some).unwrap();
        for (found, expected) in along.iter().zip(of("transformed")) {
            assert_abs_diff_eq!(f64::from(*found), expected, epsilon = 1e-3 * deviation);
        }
        let whitened = fit(&Pca::new(few).whiten(true), &table.values, columns);
        let along = whitened.transform_blocking(some).unwrap();
        for (found, expected) in along.iter().zip(of("whitened")) {
            assert_abs_diff_eq!(f64::from(*found), expected, epsilon = 1e-2);
        }
    }
}

/// All components together lose nothing, whitened or not; a few lose what the others hold.
#[test]
fn rows_come_back() {
    for table in tables().into_iter().filter(|table| !table.name.starts_with("digits")) {
        let columns = table.columns;
        for whiten in [false, true] {
            let all = fit(&Pca::new(columns).whiten(whiten), &table.values, columns);
            let along = all.transform_blocking(&table.values).unwrap();
            let back = all.inverse_transform_blocking(&along).unwrap();
            let largest = table.values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            for (back, value) in back.iter().zip(&table.values) {
                assert_abs_diff_eq!(back, value, epsilon = 2e-5 * largest);
            }
        }
        let one = fit(&Pca::new(1), &table.values, columns);
        let along = one.transform_blocking(&table.values).unwrap();
        let back = one.inverse_transform_blocking(&along).unwrap();
        let left =
            back.iter().zip(&table.values).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let variance = numbers(&table.pca["variance"]);
        let expected = variance[1..].iter().sum::<f64>() * (table.rows() - 1) as f64;
        assert!((left / expected - 1.0).abs() < 2e-2, "{}: {left} {expected}", table.name);
    }
}

/// Rows around a few directions, whose deviations halve from one to the next, in many columns.
fn rows_along(random: &mut Random, rows: usize, columns: usize, directions: usize) -> Vec<f32> {
    let by = random.many(directions * columns, |r| r.uniform(-1.0, 1.0));
    let mut values = random.many(rows * columns, |r| 0.01 * r.uniform(-1.0, 1.0));
    for row in values.chunks_mut(columns) {
        for (i, direction) in by.chunks(columns).enumerate() {
            let along = 0.5f32.powi(i as i32) * random.uniform(-1.0, 1.0);
            row.iter_mut().zip(direction).for_each(|(x, d)| *x += along * d);
        }
    }
    values
}

#[test]
fn the_randomized_solver_finds_what_the_exact_one_does() {
    let mut random = Random::new(4);
    for (rows, columns) in [(700, 120), (60, 150), (3000, 33)] {
        let values = rows_along(&mut random, rows, columns, 6);
        let exact = fit(&Pca::new(5).solver(Solver::Exact), &values, columns);
        for seed in 0..2 {
            let pca = Pca::new(5).solver(Solver::Randomized).seed(seed);
            let found = fit(&pca, &values, columns);
            let name = format!("{rows}×{columns}, seed {seed}");
            let pairs = found.explained_variance().iter().zip(exact.explained_variance());
            for (found, exact) in pairs {
                assert!((found / exact - 1.0).abs() < 1e-4, "{name}: {found} {exact}");
            }
            let directions =
                found.components().chunks(columns).zip(exact.components().chunks(columns));
            for (found, exact) in directions {
                let exact: Vec<f64> = exact.iter().map(|&x| x.into()).collect();
                let cosine = dot(found, &exact);
                assert!(1.0 - cosine < 1e-6, "{name}: cosine {cosine}");
            }
        }
    }
    // Above 2,000 columns it is the usual one.
    let values = rows_along(&mut random, 40, 2100, 3);
    let auto = fit(&Pca::new(2), &values, 2100);
    let named = fit(&Pca::new(2).solver(Solver::Randomized), &values, 2100);
    assert_eq!(auto.components(), named.components());
}

/// Passes are told of, block by block, to the last.
#[test]
fn passes_are_watched() {
    let values = rows_along(&mut Random::new(7), 70_000, 4, 2);
    for (solver, passes) in [(Solver::Exact, 1), (Solver::Randomized, 4)] {
        let mut told = Vec::new();
        let pca = Pca::new(2).solver(solver).iterations(3);
        let found =
            pca.fit_watched_blocking(&gpu(), &values, 4, |seen, all| told.push((seen, all)));
        assert_eq!(found.unwrap().components(), fit(&pca, &values, 4).components());
        assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
        assert_eq!(told.last(), Some(&(70_000 * passes, 70_000 * passes)));
        assert_eq!(told.len(), 2 * passes, "two blocks a pass");
    }
}

/// The same rows give the same bits: again, and over two devices.
#[test]
fn rows_give_the_same_bits() {
    let values = rows_along(&mut Random::new(6), 70_000, 9, 3);
    let gpus = lanes(2);
    for solver in [Solver::Exact, Solver::Randomized] {
        let pca = Pca::new(3).solver(solver);
        let bits = |found: &PrincipalComponents| {
            let components: Vec<u32> = found.components().iter().map(|x| x.to_bits()).collect();
            let variance = found.explained_variance().iter().map(|x| x.to_bits());
            (components, variance.collect::<Vec<u64>>())
        };
        let one = bits(&fit(&pca, &values, 9));
        assert_eq!(one, bits(&fit(&pca, &values, 9)), "{solver:?}");
        let two = pca.fit_over_blocking(&gpus, &values, 9).unwrap();
        assert_eq!(one, bits(&two), "{solver:?} over two devices");
    }
}

#[test]
fn few_and_alike_rows() {
    for solver in [Solver::Exact, Solver::Randomized] {
        // Nothing differs: no variance, and directions at right angles all the same.
        let alike = fit(&Pca::new(2).solver(solver).whiten(true), &[3.5; 15], 3);
        assert_eq!(alike.explained_variance(), [0.0; 2]);
        assert_eq!(alike.explained_variance_ratio(), [0.0; 2]);
        let (a, b) = alike.components().split_at(3);
        let b: Vec<f64> = b.iter().map(|&x| x.into()).collect();
        assert_abs_diff_eq!(dot(a, &b), 0.0, epsilon = 1e-6);
        assert_eq!(alike.transform_blocking(&[3.5; 3]).unwrap(), [0.0; 2]);
        assert_eq!(alike.inverse_transform_blocking(&[0.0; 2]).unwrap(), [3.5; 3]);
        // Two rows differ in one direction; a constant column has no part in it. Also of extreme size.
        for factor in [1.0, 1e38, 1e-37] {
            let rows: Vec<f32> =
                [0.0, 7.0, 0.0, 3.0, 7.0, -4.0].iter().map(|x| x / 10.0 * factor).collect();
            let two = fit(&Pca::new(2).solver(solver), &rows, 3);
            assert_abs_diff_eq!(two.explained_variance_ratio()[0], 1.0, epsilon = 1e-6);
            assert_abs_diff_eq!(two.explained_variance_ratio()[1], 0.0, epsilon = 1e-6);
            let expected = 0.125 * f64::from(factor).powi(2);
            assert!((two.explained_variance()[0] / expected - 1.0).abs() < 1e-5);
            for (found, expected) in two.components().iter().zip([-0.6, 0.0, 0.8]) {
                assert_abs_diff_eq!(*found, expected, epsilon = 1e-6);
            }
            let along = two.transform_blocking(&rows).unwrap();
            assert!((along[0] / factor - 0.25).abs() < 1e-6, "{along:?}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let gpu = gpu();
    let refused = |pca: Pca, values: &[f32], columns: usize, part: &str| {
        let error = pca.fit_blocking(&gpu, values, columns).unwrap_err();
        assert!(matches!(error, Error::Argument { .. } | Error::Data(_)), "{error:?}");
        assert!(error.to_string().contains(part), "'{part}' is not in: {error}");
    };
    refused(Pca::new(1), &[1.0, 2.0], 2, "at least 2");
    refused(Pca::new(0), &[1.0; 4], 2, "number of components is 0");
    refused(Pca::new(3), &[1.0; 8], 2, "at most 2");
    refused(Pca::new(3), &[1.0; 8], 4, "at most 2, with 2 rows of 4");
    refused(Pca::new(1), &[1.0; 5], 2, "5");
    refused(Pca::new(1), &[1.0, f32::NAN, 1.0, 1.0], 2, "row 0, column 1");
    refused(Pca::new(1), &[], 2, "no rows");
    let error = Pca::new(1).fit_over_blocking(&[], &[1.0; 4], 2).unwrap_err();
    assert!(error.to_string().contains("number of devices"), "{error}");
    let found = Pca::new(1).fit_blocking(&gpu, &[1.0, 2.0, 3.0, 5.0], 2).unwrap();
    assert!(found.transform_blocking(&[1.0; 3]).is_err());
    assert!(found.inverse_transform_blocking(&[f32::NAN]).is_err());
    assert!(found.inverse_transform_blocking(&[]).is_err());
}
