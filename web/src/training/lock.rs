//! One call at a time: a model is lent to a call and comes back when the call ends. A second call
//! in between is an error, and `free` in between is safe: the call in progress keeps what it needs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::error::{Result, named};

/// Something that one call may use at a time.
pub struct Lock<T> {
    shared: Rc<Shared<T>>,
}

struct Shared<T> {
    value: RefCell<Option<T>>,
    /// The call that has the value.
    user: Cell<&'static str>,
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Lock<T> {
    pub fn new(value: T) -> Self {
        Self { shared: Rc::new(Shared { value: RefCell::new(Some(value)), user: Cell::new("") }) }
    }

    /// # Errors
    /// If another call has the value.
    pub fn take(&self, what: &str, user: &'static str) -> Result<Loan<T>> {
        match self.shared.value.borrow_mut().take() {
            Some(value) => {
                self.shared.user.set(user);
                Ok(Loan { lock: self.clone(), value: Some(value) })
            }
            None => {
                let other = self.shared.user.get();
                let message = format!(
                    "{what} is busy with {other}(); wait for its promise before calling {user}()"
                );
                Err(named("Busy", &message))
            }
        }
    }
}

/// A value lent to a call; dropping it gives it back.
pub struct Loan<T> {
    lock: Lock<T>,
    value: Option<T>,
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        *self.lock.shared.value.borrow_mut() = self.value.take();
    }
}

// The value is there from `take` to `drop`.
impl<T> std::ops::Deref for Loan<T> {
    type Target = T;

    #[expect(clippy::expect_used)]
    fn deref(&self) -> &T {
        self.value.as_ref().expect("lent")
    }
}

impl<T> std::ops::DerefMut for Loan<T> {
    #[expect(clippy::expect_used)]
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("lent")
    }
}
