// 1 if the largest logit of a row is at its label, or where its largest target probability is, else 0; the first
// largest wins a tie. A row with NaN is wrong, as is one whose label is past the last class.

fn count_correct(top: u32, label: u32, holds_nan: bool) -> f32 {
    return select(0.0, 1.0, (top == label) & !holds_nan);
}
