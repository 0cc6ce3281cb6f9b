// 1 if the logit of an element is on its target's side, (z > 0) = (t > ½), else 0; NaN is on neither.

fn count_correct_binary(z: f32, t: f32) -> Found {
    return Found(select(0.0, 1.0, ((z > 0.0) == (t > 0.5)) & !is_nan(z) & !is_nan(t)), 0.0);
}
