//! error[E0603]: the layer that owns the handles is nobody else's
type Db = finalite::raw::Db; //~ fails
type Db = finalite::Connection; //~ passes

fn main() {
    drop(None::<Db>);
}
