//! The text of a whole-step kernel: files under `shaders/` and what is made for a net, one after another.

use super::{Held, MOST_STEPS, Net, exchange, made, registers};
use crate::graph::{Loss, Unary};
use crate::kernel::activation::FUNCTIONS;
use crate::kernel::reflect::{self, Binding};
use crate::kernel::{PRELUDE, Part, formula, part, rule};
use crate::{Error, Result};

/// Where the derivatives of all activations are computed from their outputs.
const NO_INPUT_SAVED: &Part = &Part {
    name: "without:saved_inputs",
    source: "fn save_input(to: Outputs, at: u32, z: vec4<f32>) {}\n",
};

/// A stretch of a kernel's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// A part, which other kernels may have too.
    Part(&'static Part),
    /// What is made for one net.
    Made {
        /// What it is: `net:constants`.
        name: &'static str,
        /// The WGSL.
        source: String,
    },
}

impl Text {
    /// The name of the part, or of what is made.
    pub fn name(&self) -> &'static str {
        match self {
            Text::Part(part) => part.name,
            Text::Made { name, .. } => name,
        }
    }

    /// The WGSL.
    pub fn source(&self) -> &str {
        match self {
            Text::Part(part) => part.source,
            Text::Made { source, .. } => source,
        }
    }
}

impl Net {
    /// The bindings that the kernel declares.
    pub fn bindings(&self) -> Vec<Binding> {
        reflect::bindings(&self.files())
    }

    /// The kernel's WGSL.
    ///
    /// # Errors
    /// [`Error::Shape`] if the net has no layer.
    pub fn source(&self) -> Result<String> {
        let texts = self.texts()?;
        Ok(reflect::announced(&texts.iter().map(Text::source).collect::<Vec<_>>()))
    }

    /// What the kernel is put together from, in order; the last holds `main`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the net has no layer.
    pub fn texts(&self) -> Result<Vec<Text>> {
        if self.layers.is_empty() {
            let why = "a net without layers; give it at least one";
            return Err(Error::shape("whole-step kernel", why));
        }
        let made = |name, source| Text::Made { name, source };
        let mut texts = vec![Text::Part(PRELUDE), made("net:constants", self.constants())];
        texts.extend(self.files().into_iter().map(Text::Part));
        texts.push(made("net:exchange", exchange::source(self)));
        match self.held {
            Held::Registers => texts.push(made("net:registers", registers::source(self))),
            Held::Memory => texts.extend([
                made("net:activations", made::activations(self)),
                made("net:sums", made::sums(self)),
                made("net:arenas", made::arenas(self)),
                Text::Part(part!("whole_step/memory")),
            ]),
        }
        Ok(texts)
    }

    /// The files between the prelude and what is made for the net: all that declare bindings.
    fn files(&self) -> Vec<&'static Part> {
        let mut files = FUNCTIONS.to_vec();
        if self.clip {
            files.push(part!("shared/norm"));
        }
        files.extend([rule::of_numbers(self.rule), self.rule.row().formula]);
        files.extend([part!("whole_step/run"), part!("whole_step/update")]);
        files.push(match self.clip {
            true => part!("whole_step/clip"),
            false => part!("whole_step/no_clip"),
        });
        files.extend(self.files_of_loss());
        match self.held {
            Held::Registers => files.push(part!("whole_step/registers")),
            Held::Memory => self.add_files_of_memory(&mut files),
        }
        files
    }

    fn files_of_loss(&self) -> Vec<&'static Part> {
        let mut files = vec![formula::of_loss(self.loss)];
        if self.loss.is_elementwise() {
            files.insert(0, part!("loss/found"));
        }
        for &count in &self.counts {
            let file = formula::of_count(count);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        if let Loss::Huber { .. } = self.loss {
            files.push(part!("whole_step/huber_delta"));
        }
        files
    }

    fn add_files_of_memory(&self, files: &mut Vec<&'static Part>) {
        let chosen = |is: bool, yes: &'static Part, no: &'static Part| if is { yes } else { no };
        let by_subgroup = chosen(
            self.invocations == 4,
            part!("matmul/rows_subgroup_4"),
            part!("matmul/rows_subgroup_8"),
        );
        if self.words {
            files.push(part!("shared/words"));
        }
        files.extend([
            chosen(self.words, part!("whole_step/fours_in_words"), part!("whole_step/fours")),
            chosen(
                self.inputs.is_multiple_of(4),
                part!("whole_step/features_in_fours"),
                part!("whole_step/features_one_by_one"),
            ),
            chosen(
                self.subgroups,
                part!("whole_step/invocation_of_subgroup"),
                part!("whole_step/invocation_of_workgroup"),
            ),
            part!("whole_step/layers"),
            part!("matmul/block"),
            chosen(self.subgroups, by_subgroup, part!("matmul/rows_alone")),
            chosen(self.strips() == 1, part!("whole_step/strips_1"), part!("whole_step/strips_4")),
            chosen(
                self.functions().into_iter().all(Unary::grad_from_output),
                NO_INPUT_SAVED,
                part!("whole_step/saved_inputs"),
            ),
            part!("whole_step/products"),
            chosen(
                self.workgroups > 1,
                part!("whole_step/total_shared"),
                part!("whole_step/total_alone"),
            ),
            chosen(self.clip, part!("whole_step/memory_clip"), part!("whole_step/memory_no_clip")),
        ]);
        let of_rows: &[&Part] = match self.loss {
            Loss::SoftmaxCrossEntropy => {
                &[part!("whole_step/row_of_logits"), part!("whole_step/loss_of_labels")]
            }
            Loss::SoftmaxCrossEntropyProbabilities => {
                &[part!("whole_step/row_of_logits"), part!("whole_step/loss_of_probabilities")]
            }
            Loss::MeanSquaredError
            | Loss::MeanAbsoluteError
            | Loss::Huber { .. }
            | Loss::BinaryCrossEntropy => &[
                formula::element(formula::of_loss(self.loss)),
                part!("whole_step/loss_of_elements"),
            ],
        };
        files.extend(of_rows);
    }

    /// The numbers that the kernel is made for.
    fn constants(&self) -> String {
        let target = if self.loss.takes_classes() { "u32" } else { "f32" };
        let mut constants = vec![("INVOCATIONS", self.invocations), ("MOST_STEPS", MOST_STEPS)];
        if self.held == Held::Memory {
            constants.extend([
                ("LAYERS", self.layers.len()),
                ("INPUTS", self.inputs),
                ("INPUT_FOURS", self.inputs.div_ceil(4)),
                ("OUTPUTS", self.output_width()),
                // Numbers per row of the results, and of the optimizer's state per parameter.
                ("COLUMNS", self.columns()),
                ("STATES", self.rule.states()),
                // Where the parameters begin, and how many there are, in fours of numbers; the same of gradients
                // with the loss and the metrics' sums, which lie behind them.
                ("FIRST", self.first_parameter()),
                ("PARAMETERS", self.parameter_fours()),
                ("TOTALS", self.totals()),
                // Invocations side by side in a tile of a product.
                ("ACROSS", self.across()),
            ]);
        }
        let lines =
            constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n"));
        format!("alias Target = {target};\n\n") + &lines.collect::<String>()
    }
}
