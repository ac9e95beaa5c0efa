//! error[-]: what a row lends has one lifetime
//! says: one lifetime is enough
use finalite::FromRow;

#[derive(FromRow)] //~ fails
struct Pair<'a, 'b> {
    name: &'a str,
    mail: &'b str,
}

#[derive(FromRow)]
struct User<'row> {
    name: &'row str,
    mail: &'row str,
}

fn main() {}
