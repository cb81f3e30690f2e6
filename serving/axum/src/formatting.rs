//! Values as Python's `repr` and format specifications write them, so that messages and documents are the same.

/// A string as `repr` quotes it.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 || c == '\x7f' => out.extend(format!("\\x{:02x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A number with six significant digits, as the format `g` writes it.
pub fn general(value: f64) -> String {
    const DIGITS: usize = 6;
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific; // infinity or NaN
    };
    match exponent.parse::<i32>() {
        Ok(power @ -4..0) => without_zeros(&format!("{value:.*}", DIGITS - 1 + power.unsigned_abs() as usize)),
        Ok(power @ 0..6) => without_zeros(&format!("{value:.*}", DIGITS - 1 - power.unsigned_abs() as usize)),
        Ok(power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", without_zeros(mantissa), power.unsigned_abs())
        }
        Err(_) => scientific,
    }
}

fn without_zeros(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal.to_owned()
    }
}

/// A whole number with a comma between thousands, as the format `,` writes it.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_like_repr() {
        assert_eq!(quoted("> 9"), "'> 9'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("'\"\\\n\0"), r#"'\'"\\\n\x00'"#);
    }

    #[test]
    fn writes_numbers_like_the_format_g() {
        let cases = [
            (17.0, "17"),
            (99999.0, "99999"),
            (1_490_400.0, "1.4904e+06"),
            (0.367_364_704_608_917_24, "0.367365"),
            (0.000_123_456_78, "0.000123457"),
            (0.000_012_345_678, "1.23457e-05"),
            (-0.5, "-0.5"),
            (0.0, "0"),
            (100_000.0, "100000"),
            (999_999.5, "1e+06"),
        ];
        for (value, text) in cases {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn groups_thousands() {
        assert_eq!(
            [0, 999, 1000, 65_535, 1_073_741_824].map(grouped),
            ["0", "999", "1,000", "65,535", "1,073,741,824"]
        );
    }
}
