# Installation: headers, library, program, its completion, and what find_package(entk) reads.
include(CMakePackageConfigHelpers)
set(ENTK_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/entk")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/entk"
        FILES_MATCHING PATTERN "*.h")
install(TARGETS entk entk_command_line EXPORT entkTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
# The program finds LibTorch where it was linked with it.
set_target_properties(entk_program PROPERTIES INSTALL_RPATH "${ENTK_TORCH_PREFIX}/lib")
install(TARGETS entk_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES "${PROJECT_BINARY_DIR}/entk.bash" RENAME entk
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")

install(EXPORT entkTargets NAMESPACE entk:: DESTINATION "${ENTK_CMAKE_DIR}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/entkConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/entkConfig.cmake" INSTALL_DESTINATION "${ENTK_CMAKE_DIR}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/entkConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/entkConfig.cmake" "${PROJECT_BINARY_DIR}/entkConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/LibTorch.cmake"
        DESTINATION "${ENTK_CMAKE_DIR}")
