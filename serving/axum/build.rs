//! Takes Swagger UI's two files out of the archive that a crate carries, for `docs_page.rs` to embed.

use std::env;
use std::fs;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("the crate holds a zip archive");
    for file in FILES {
        let ending = format!("/dist/{file}");
        let name =
            archive.file_names().find(|name| name.ends_with(&ending)).expect("the archive has the file").to_owned();
        let mut content = Vec::new();
        archive.by_name(&name).expect("it was found").read_to_end(&mut content).expect("it can be unpacked");
        fs::write(folder.join(file), content).expect("OUT_DIR can be written");
    }
}
