//! error[-]: a binder belongs to one statement: another's would bind what does not live as long
use finalite::{Binder, Params, Result};

struct Thief<'t, 's, 'p>(&'t mut Binder<'s, 'p>);

impl<'t, 's, 'p> Params<'p> for Thief<'t, 's, 'p> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        std::mem::swap(self.0, binder); //~ fails
        self.0.push(binder.parameter_count())?; //~ passes
        Ok(())
    }
}

fn main() {}
