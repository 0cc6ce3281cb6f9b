//! Gzip files: one or several members, and the zeros that tapes and some tools put behind them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The unpacked bytes of all members, one after another. Zeros behind the last member are passed over, as
/// gzip does; anything else there is an error, where a decoder of one member would take it for the end.
pub(super) struct Members<R> {
    /// The member at hand; none after the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else { break };
            let zeros = skip_zeros(&mut rest)?;
            if rest.fill_buf()?.is_empty() {
                break;
            }
            if zeros {
                let reason = "the gzip file goes on behind the zeros that end it";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            self.member = Some(GzDecoder::new(rest));
        }
        Ok(0)
    }
}

/// Passes over zeros; says whether there were any.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    let mut any = false;
    loop {
        let bytes = reader.fill_buf()?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 {
            return Ok(any);
        }
        any = true;
        reader.consume(zeros);
    }
}
