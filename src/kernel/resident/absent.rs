//! In the browser there is no resident kernel: the template engine would be a third of the package.

use super::Net;
use crate::kernel::reflect::Binding;
use crate::{Error, Result};

/// Whether there is a template to render.
pub(crate) const IS_PRESENT: bool = false;

impl Net {
    /// No bindings.
    pub fn bindings(&self) -> Vec<Binding> {
        Vec::new()
    }

    /// The kernel's WGSL.
    ///
    /// # Errors
    /// [`Error::Shape`]: there is none here.
    pub fn source(&self) -> Result<String> {
        Err(Error::shape("resident kernel", "not part of the browser's package"))
    }
}
