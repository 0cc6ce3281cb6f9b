//! The text of a whole-step kernel: files under `shaders/` and what is made for a net, one after another.

use super::{Held, MOST_STEPS, Net, exchange, made, registers};
use crate::graph::Loss;
use crate::kernel::activation::FUNCTIONS;
use crate::kernel::reflect::{self, Binding};
use crate::kernel::{PRELUDE, Part, formula, part, rule};
use crate::{Error, Result};

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
        let mut texts = vec![
            Text::Made { name: "net:constants", source: self.constants() },
            Text::Made { name: "net:exchange", source: exchange::source(self) },
        ];
        let mut files = self.files();
        let last = match self.held {
            Held::Registers => {
                Text::Made { name: "net:registers", source: registers::source(self) }
            }
            Held::Memory => {
                texts.extend([
                    Text::Made { name: "net:activations", source: made::activations(self) },
                    Text::Made { name: "net:sums", source: made::sums(self) },
                    Text::Made { name: "net:arenas", source: made::arenas(self) },
                ]);
                Text::Part(MEMORY)
            }
        };
        files.retain(|&part| part != MEMORY);
        let mut all: Vec<Text> = files.into_iter().map(Text::Part).collect();
        all.append(&mut texts);
        all.push(last);
        Ok(all)
    }

    /// The parts of the kernel.
    fn files(&self) -> Vec<&'static Part> {
        let mut files = vec![PRELUDE];
        files.extend(FUNCTIONS);
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
        files.push(part!("matmul/block"));
        let (rows, strips, invocation): (&Part, &Part, &Part) = match self.invocations {
            _ if !self.subgroups => (
                part!("matmul/rows_alone"),
                part!("whole_step/strips_1"),
                part!("whole_step/invocation_of_workgroup"),
            ),
            invocations => (
                match invocations {
                    4 => part!("matmul/rows_subgroup_4"),
                    _ => part!("matmul/rows_subgroup_8"),
                },
                part!("whole_step/strips_4"),
                part!("whole_step/invocation_of_subgroup"),
            ),
        };
        files.extend([rows, strips, invocation]);
        if self.words {
            files.push(part!("shared/words"));
        }
        let takes_inputs = self.functions().iter().any(|function| !function.grad_from_output());
        let chosen = |is: bool, yes: &'static Part, no: &'static Part| if is { yes } else { no };
        files.extend([
            chosen(self.words, part!("whole_step/fours_in_words"), part!("whole_step/fours")),
            chosen(
                self.inputs.is_multiple_of(4),
                part!("whole_step/features_in_fours"),
                part!("whole_step/features_one_by_one"),
            ),
            chosen(
                takes_inputs,
                part!("whole_step/saved_inputs"),
                part!("whole_step/saved_outputs"),
            ),
            chosen(
                self.workgroups > 1,
                part!("whole_step/total_shared"),
                part!("whole_step/total_alone"),
            ),
            chosen(self.clip, part!("whole_step/memory_clip"), part!("whole_step/memory_no_clip")),
            part!("whole_step/layers"),
            part!("whole_step/products"),
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
        files.push(MEMORY);
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

const MEMORY: &Part = part!("whole_step/memory");
