//! Bytes of a node of dqlite: none of them has the reader panic, or take more memory than there are bytes.

#![no_main]

use finalite_dqlite::wire::{Answer, Batch, Incoming, Step, ends_rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut incoming, mut body, mut cells) = (Incoming::new(1 << 20), Vec::new(), Vec::new());
    for piece in bytes.chunks(509) {
        incoming.space()[..piece.len()].copy_from_slice(piece);
        incoming.arrived(piece.len());
        while let Ok(Some(header)) = incoming.next(&mut body) {
            let _ = Answer::read(header, &body);
            let _ = ends_rows(&body);
            let Ok((mut rows, _)) = Batch::begin(&body) else { continue };
            let mut count = 0;
            while let Ok(Step::Row) = rows.next(&body, &mut cells) {
                count += 1;
                assert!(count <= bytes.len());
            }
        }
    }
});
