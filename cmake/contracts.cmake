# The contracts as they were compiled (contracts/artifacts), written into the program: `attestry registry deploy`,
# `attestry keymanager deploy` and `attestry tracker deploy` send these bytes, and compare what stands on the chain with
# them.
set(ATTESTRY_CONTRACTS_SOURCE ${CMAKE_BINARY_DIR}/generated/registry_contracts.cpp)
set(contracts "")
set(layouts "")
foreach(name Registry Kms KeyManager Reputation ReputationFactory)
  set(file ${CMAKE_SOURCE_DIR}/contracts/artifacts/${name}.json)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} json)
  string(JSON creation GET "${json}" bytecode)
  string(JSON deployed GET "${json}" deployedBytecode)
  string(JSON compiler GET "${json}" compiler)
  # Where each variable stands, as the compiler says.
  set(variables "")
  string(JSON count LENGTH "${json}" storageLayout variables)
  math(EXPR last "${count} - 1")
  foreach(index RANGE ${last})
    string(JSON label GET "${json}" storageLayout variables ${index} label)
    string(JSON slot GET "${json}" storageLayout variables ${index} slot)
    string(JSON offset GET "${json}" storageLayout variables ${index} offset)
    string(APPEND variables "    {\"${label}\", ${slot}, ${offset}},\n")
  endforeach()
  string(APPEND layouts "const governance::StorageVariable k${name}Variables[] = {\n${variables}};\n\n")
  string(APPEND contracts "    {\"${name}\",\n     \"${compiler}\",\n     \"${creation}\",\n     \"${deployed}\",\n"
    "     k${name}Variables},\n")
endforeach()
file(CONFIGURE OUTPUT ${ATTESTRY_CONTRACTS_SOURCE} @ONLY CONTENT
"// Made from contracts/artifacts by cmake/contracts.cmake.
#include \"app/registry_contracts.h\"

namespace attestry::app::generated {

namespace {
@layouts@}  // namespace

const CompiledContract kContracts[5] = {
@contracts@};

}  // namespace attestry::app::generated
")
