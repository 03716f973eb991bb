cmake_policy(VERSION 3.22)
# Writes configs/*.json into one source file. Run with -DFOLDER= -DOUTPUT=.
file(GLOB files "${FOLDER}/*.json")
list(SORT files)
set(entries "")
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" text)
  string(APPEND entries "      {\"${name}\", R\"entk(${text})entk\"},\n")
endforeach()
file(CONFIGURE OUTPUT "${OUTPUT}" @ONLY CONTENT
"#include \"entk/config/presets.h\"

namespace entk {

const std::vector<BuiltInPreset>& built_in_presets() {
  static const std::vector<BuiltInPreset> presets = {
@entries@  };
  return presets;
}

}  // namespace entk
")
