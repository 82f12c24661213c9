# SPDX-License-Identifier: Apache-2.0
# The ROS wheels carry include directories of the machine that built them in their *__rosidl_generator_py targets.
# CMake refuses a target whose include directory does not exist, and nothing here needs it: blank them.
function(forget_foreign_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(target MATCHES "__rosidl_generator_py$")
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL forget_foreign_include_directories)
